"""The JSON documents that describe an agent, its lanes, jobs and GPUs.

The control socket serves them and the command line prints them with `--json`, whether they came from a running agent
or from the journal. Names and units are those of the records; fields are added over time, never renamed.

- agent: `running`, `version`, `cluster`, `pid`, `started_at`, `gpu_provider`, `gpus` [gpu], `lanes` [lane],
  `health` [health], `relaxations` [`setting`, `meaning`]
- lane: `lane`, `node`, `market`, `phase`, `reason`, `since`, `position`, `queue_length`, `job`, `stage`, `progress`,
  `gpus` [UUID], `trailing` [job], `earning` (`earning`: true, false, or null where the chain cannot be asked; `code`,
  `sentence`, `asked_at`; null: not asked)
- health: `subject` (`engine`, `rpc`, `gpu`, `gpu fitness`, `gpu owner`, `disk`, `clock`, `isolation`, ...),
  `lane` (empty: the host), `state` (`ok`, `failing`, `unknown`), `reason`, `hint`, `since`, `hinders` (no job is taken
  because of it)
- gpu: `provider`, `index`, `uuid`, `name`, `vram_bytes`, `driver`, `cuda`, `compute_capability`, `power_limit_watts`,
  `power_default_watts`, `power_most_watts`, `pcie_width_most`, `pcie_generation_most`, `slowdown_temperature`,
  `shutdown_temperature`, `bus_id`, `ecc`, `persistence`, `compute_mode`, `mig`, of a MIG device `parent`, `slices`;
  null: not available
- now (a GPU at this moment): `uuid`, `time_ms` (null: it could not be read lately), `utilisation` (percent),
  `memory_bytes`, `temperature`, `power_watts`, `clock_mhz`, `slowed_by` [reason], `pcie_width`, `pcie_generation`,
  `ecc_corrected`, `ecc_uncorrected`, `processes` [`pid`, `name`, `memory_bytes`, `owner` (`job`, `agent`, `other`,
  `gone`: not to be told), `job`], `energy_today_joules`, `energy_today_since_ms`
- run: `run`, `job`, `lane`, `node`, `market`, `poster`, `definition_cid`, `price`, `timeout`, `run_time`, `stage`,
  `stages` (stage → seconds spent; null for the one at hand), `cause`, `refusal`, `result_cid`, `receipt_cid`,
  `settlement` (`kind`, `signature`, `slot`, `pay`, `payout`, `reason`, `fee`, or null)
- of one run that was asked for also `moments` (name → unix ms, in the order in which they came: `queued`, `assigned`
  (by the chain's clock), `picked_up`, `pulled`, `prepared`, `started`, `first_health`, `first_output`, `exited`,
  `uploaded`, `settled`; those not seen are not there), `legs` (name → ms between two of them: `queue`, `pick_up`,
  `pull`, `prepare`, `start`, `first_output`, `first_health`, `run`, `upload`, `settle`), `energy` (`millijoules`,
  `source`; null: not known)
- latency: `since`, `runs`, `legs` [`leg`, `count` (runs for which it is known), `p50`, `p95` (ms; null: of no run)]
- proofs: `work` [outlook], `ladders` [`gpu` (UUID or `cpu`), `measured_ms`, `digest`, `document`] (the newest of each
  device, the newest first), `joules_today` (that work proofs of 24 h used; null: not known), `daily_joules`
- outlook: `lane`, `engine` (`cuda`, `cpu`, null: no proofs are made), `why`, `running`, `next_at` (unix seconds; null:
  none is due), `newest` (null: none yet): `sha256`, `cid`, `root`, `signature` (of the memo), `engine`, `gpu`,
  `made_ms`, `size`, `rounds`, `operations`, `document_bytes`, `milliseconds`, `joules`, `metered` (else the most it can
  have used), `seed_slot`, `anchor_slot`, `rate` (operations a second at least by the chain's clock; null: not told)
- operation: `index`, `id`, `group`, `status`, `exit_code`, `image_digest`, `started_ms`, `ended_ms`, `starts`,
  `errors` [`event`, `message`, `code`], `log` (`root`, `length`, `truncated`)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from node.bounded_json import read_json
from node.journal.job_work import RunEnergy
from node.journal.latency import Latency, Moment, legs_of, steps_of
from node.records import AgentStatus, Gpu, JobSummary, JournalEvent, LaneStatus, OperationState
from node.records_proofs import KeptProof, ProofsKnown

Document = dict[str, Any]


def plain(value: object) -> Any:
    """The value as JSON types: records become objects, enums their values, paths text, bytes hex."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Path):
        return str(value)
    return value


def agent_document(status: AgentStatus) -> Document:
    """A running agent."""
    return {
        "running": True,
        **plain(status),
        "gpus": [gpu_document(gpu) for gpu in status.gpus],
        "lanes": [lane_document(lane) for lane in status.lanes],
    }


def lane_document(lane: LaneStatus) -> Document:
    """A lane; its GPUs by UUID only, as the agent's document describes them."""
    return {**plain(lane), "gpus": [gpu.uuid for gpu in lane.gpus]}


def gpu_document(gpu: Gpu) -> Document:
    """A GPU."""
    return dict(plain(gpu))


def proofs_document(known: ProofsKnown) -> Document:
    """Work proofs and precision ladders."""
    return {
        "work": [
            {**plain(each), "newest": None if each.newest is None else proof_document(each.newest)}
            for each in known.work
        ],
        "ladders": [
            {
                "gpu": each.gpu,
                "measured_ms": each.measured_ms,
                "digest": each.digest,
                "document": read_json(each.body, limit=len(each.body), depth=8),
            }
            for each in known.ladders
        ],
        "joules_today": known.joules_today,
        "daily_joules": known.daily_joules,
    }


def proof_document(proof: KeptProof) -> Document:
    """A work proof that was made."""
    made = dict(plain(proof))
    for name in ("lane", "reference", "seed_time", "anchor_time"):
        del made[name]
    rate = None if proof.rate is None else round(proof.rate)
    return {**plain(proof.reference), **made, "operations": proof.operations, "rate": rate}


def run_document(summary: JobSummary) -> Document:
    """One run of a job."""
    entered = summary.stages
    following: Sequence[float | None] = [*(stage.entered for stage in entered[1:]), None]
    spent = {
        stage.stage.value: None if end is None else round(end - stage.entered, 3)
        for stage, end in zip(entered, following, strict=False)
    }
    spent.pop("done", None)
    return {**plain(summary), "stages": spent}


def operation_document(state: OperationState) -> Document:
    """One operation of a run."""
    log = state.log
    return {
        "index": state.index,
        "id": state.id,
        "group": state.group,
        "status": state.status.value,
        "exit_code": state.exit_code,
        "image_digest": state.image_digest,
        "started_ms": state.started_ms,
        "ended_ms": state.ended_ms,
        "starts": state.starts,
        "errors": plain(state.errors),
        "log": None if log is None else {"root": log.root, "length": log.length, "truncated": log.truncated},
        "network": plain(state.network),
    }


def run_more(moments: Mapping[Moment, int], energy: RunEnergy | None) -> Document:
    """What is told of a run only where one is asked for: its moments, legs and energy."""
    return {
        "moments": {moment.value: at for moment, at, _ in steps_of(moments)},
        "legs": legs_of(moments),
        "energy": plain(energy),
    }


def latency_document(latency: Latency) -> Document:
    """What the legs took."""
    return {"since": latency.since, "runs": latency.runs, "legs": plain(latency.legs)}


def event_document(event: JournalEvent) -> Document:
    """One line of what happened."""
    return dict(plain(event))
