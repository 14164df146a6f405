"""A lane's desk: plans out of definitions, results and receipts out of outcomes, and the host card."""

from __future__ import annotations

from dataclasses import dataclass, replace

from node import __version__
from node.agent.edges import ReceiptFacts
from node.agent.host import HostFacts
from node.agent.isolation import relaxations
from node.chain.clusters import Cluster
from node.chain.wallet import Signer
from node.container.log import read_entries
from node.errors import JobRefused
from node.job.completion import complete_operation
from node.job.credentials import credentials_of
from node.job.definition import parse_posted
from node.job.first_store import store_of
from node.job.isolation import keep
from node.job.plan import make_plan
from node.job.policy import admit
from node.job.result import encode_result, flow_state
from node.job.store import Store
from node.logins import Credentials
from node.proof.card import HostMeasures, build_card
from node.proof.memo import receipt_memo
from node.proof.receipt import build_receipt
from node.records import Assignment, Cid, Gpu, Outcome, Plan, PlannedOperation
from node.settings import Settings


@dataclass(frozen=True, slots=True)
class Papers:
    """The JobDesk of the running agent. Its methods block: call them in a thread."""

    settings: Settings
    lane: str
    cluster: Cluster
    signer: Signer
    domain: str = ""
    """What the host names of services end in; empty: none are offered."""

    def plan(self, assignment: Assignment, body: bytes, gpu_uuids: tuple[str, ...]) -> Plan:
        """What will run. Raises DefinitionInvalid, JobRefused or another JobError."""
        engine = self.settings.engine
        plan = make_plan(
            parse_posted(body),
            job=assignment.job.address,
            node=assignment.run.node,
            project=assignment.job.project,
            gpu_uuids=gpu_uuids,
            limits=self.settings.limits.for_lane(len(self.settings.lanes)),
            profile=engine.profile,
            runtime=engine.runtime,
            lane=self.lane,
            gpu_capabilities=self.settings.gpu.capabilities,
            egress=self.settings.network.egress,
            resolvers=self.settings.network.resolvers,
            frps_address=self.domain,
            version=__version__,
        )
        if not self.domain and any(operation.services for operation in plan.operations):
            raise JobRefused(
                "the job exposes services, and this host offers none", hint="service.tunnel says how it can."
            )
        plan = keep(plan, assignment.job.project, self.settings.policy.isolation)
        admit(plan, assignment.job, self.settings.policy)
        return replace(plan, relaxed=tuple(each.setting for each in relaxations(self.settings)))

    def store(self, assignment: Assignment, plan: Plan, body: bytes) -> Store:
        """What literals stand for before anything has run."""
        return store_of(
            plan,
            parse_posted(body),
            node=assignment.run.node,
            project=assignment.job.project,
            domain=self.domain,
            version=__version__,
        )

    def complete(self, operation: PlannedOperation, body: bytes, store: Store) -> PlannedOperation:
        """The operation with its literals filled in. Raises LiteralUnresolved."""
        return complete_operation(operation, parse_posted(body), store)

    def credentials(self, index: int, body: bytes, store: Store) -> Credentials:
        """What the operation logs in with. Raises LiteralUnresolved."""
        return credentials_of(parse_posted(body), index, store)

    def result(self, plan: Plan | None, outcome: Outcome) -> bytes:
        """The result document. Raises ContentTooLarge when even without logs it is over the limit."""
        data = self.settings.locations.data
        logs = {
            state.index: read_entries(data / state.log.path) for state in outcome.operations if state.log is not None
        }
        return encode_result(flow_state(outcome, plan, logs), self.settings.content.result_bytes)

    def receipt(self, facts: ReceiptFacts) -> bytes:
        """The signed receipt."""
        return build_receipt(
            assignment=facts.assignment,
            outcome=facts.outcome,
            result=facts.result_cid,
            cluster=self.cluster,
            gpus=facts.plan.gpus if facts.plan is not None else (),
            agent_version=__version__,
            previous=facts.previous,
            previous_reason=facts.previous_reason,
            seen=facts.seen,
            work=facts.work,
            ladder=facts.ladder,
            reveal=facts.reveal,
            sign=self.signer.sign_document,
            genesis=facts.genesis,
        )

    def memo(self, receipt: Cid) -> str:
        """The memo that anchors a receipt."""
        return receipt_memo(receipt)


def host_card(signer: Signer, facts: HostFacts, gpus: tuple[Gpu, ...]) -> bytes:
    """The signed host card of these GPUs."""
    measures = HostMeasures(
        machine=facts.machine,
        cpus=facts.cpus,
        memory_bytes=facts.memory_bytes,
        storage_bytes=facts.storage_bytes,
        iops=facts.disk.iops,
        iops_direct=facts.disk.direct,
        measured_at=facts.disk.measured_at,
    )
    return build_card(signer.address, gpus, measures, agent_version=__version__, sign=signer.sign_document)
