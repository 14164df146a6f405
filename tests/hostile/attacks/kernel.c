/* System calls that are the host's business. Arguments are such that little would happen if one were let through. */
#include "attack.h"

#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/timex.h>

/* mounts TOKEN: every kind of mount, with the token as its source so that the host can find it. */
static int mounts(int argc, char **argv) {
    const char *token = argc > 1 ? argv[1] : "hostile";
    mkdir("/tmp/m", 0755);
    static const char *const kinds[] = {"proc", "sysfs", "tmpfs", "devtmpfs", "cgroup", "cgroup2", "debugfs",
                                        "securityfs", "bpf", "overlay", "devpts", "mqueue", "binfmt_misc"};
    char name[64];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(name, sizeof name, "mount %s", kinds[i]);
        const char *data = strcmp(kinds[i], "overlay") ? NULL : "lowerdir=/etc,upperdir=/tmp/u,workdir=/tmp/w";
        tried(name, mount(token, "/tmp/m", kinds[i], 0, data));
    }
    int fuse = open("/dev/fuse", O_RDWR);
    snprintf(name, sizeof name, "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
    tried("mount fuse", mount(token, "/tmp/m", "fuse", 0, name));
    tried("mount bind", mount("/etc", "/tmp/m", NULL, MS_BIND | MS_REC, NULL));
    tried("mount shared", mount(NULL, "/", NULL, MS_SHARED | MS_REC, NULL));
    tried("remount rw /sys", mount(NULL, "/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
    tried("remount rw /proc/sys", mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
    static const char *const masked[] = {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware",
                                         "/proc/sys", "/proc/sysrq-trigger", "/etc/hosts", "/etc/resolv.conf"};
    for (size_t i = 0; i < sizeof masked / sizeof *masked; i++) {
        snprintf(name, sizeof name, "umount %s", masked[i]);
        tried(name, umount2(masked[i], MNT_DETACH));
    }
    tried("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp/m"));
    tried("fsopen", syscall(428 /* open_tree */, -100, "/", 1));
    tried("fsopen", syscall(430 /* fsopen */, "proc", 0));
    mkdir("/tmp/j", 0755);
    if (chroot("/tmp/j") == 0) {
        for (int i = 0; i < 64; i++)
            if (chdir("..") != 0) break;
        tried("chroot", chroot("."));
    } else {
        tried("chroot", -1);
    }
    nap(0.5);
    return 0;
}

static long write_file(const char *path, const char *text) {
    int file = open(path, O_WRONLY);
    if (file < 0) return -1;
    long done = text ? write(file, text, strlen(text)) : 0;
    int code = errno;
    close(file);
    errno = code;
    return done;
}

/* system-files TOKEN: opens for writing what steers the kernel; writes only what would be seen and do nothing. */
static int system_files(int argc, char **argv) {
    (void)argc, (void)argv;
    static const char *const opened[] = {
        "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/panic",
        "/proc/sys/kernel/hotplug", "/proc/sys/kernel/randomize_va_space", "/proc/sys/kernel/pid_max",
        "/proc/sys/kernel/poweroff_cmd", "/proc/sys/kernel/printk", "/proc/sys/kernel/perf_event_paranoid",
        "/proc/sys/kernel/ns_last_pid", "/proc/sys/kernel/usermodehelper/bset", "/proc/sys/vm/panic_on_oom",
        "/proc/sys/vm/drop_caches", "/proc/sys/vm/overcommit_memory", "/proc/sys/vm/min_free_kbytes",
        "/proc/sys/fs/file-max", "/proc/sys/fs/binfmt_misc/register", "/proc/sys/fs/suid_dumpable",
        "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/all/rp_filter", "/proc/irq/default_smp_affinity",
        "/proc/mtrr", "/proc/bus/pci/00/00.0", "/proc/fs/ext4", "/proc/timer_list", "/proc/kcore", "/proc/kallsyms",
        "/proc/1/mem", "/proc/acpi/wakeup", "/sys/kernel/uevent_helper", "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/power/state", "/sys/module/kernel/parameters/panic", "/sys/block/vda/queue/scheduler",
        "/sys/class/net/eth0/mtu", "/sys/devices/system/cpu/cpu1/online", "/sys/kernel/debug/sched/debug",
        "/sys/kernel/security/apparmor/.remove", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/devices/devices.allow", "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/memory/release_agent",
        "/sys/fs/cgroup/memory/notify_on_release", "/sys/firmware/efi/vars", "/sys/bus/pci/rescan",
    };
    for (size_t i = 0; i < sizeof opened / sizeof *opened; i++) tried(opened[i], write_file(opened[i], NULL));
    tried("chmod /proc/sys/kernel/core_pattern", chmod("/proc/sys/kernel/core_pattern", 0666));
    tried("unlink /sys/kernel/uevent_helper", unlink("/sys/kernel/uevent_helper"));
    tried("mkdir cgroup", mkdir("/sys/fs/cgroup/memory/hostile", 0755));
    tried("mkdir cgroup2", mkdir("/sys/fs/cgroup/hostile", 0755));
    say("waiting");
    nap(1.5);
    return 0;
}

/* release-agent TOKEN: a cgroup hierarchy of one's own, whose release agent the host would run. */
static int release_agent(int argc, char **argv) {
    const char *token = argc > 1 ? argv[1] : "hostile";
    char path[128];
    mkdir("/tmp/cg", 0755);
    static const char *const hierarchies[] = {"rdma", "memory", "pids", "freezer", "none,name=hostile"};
    for (size_t i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "mount cgroup %s", hierarchies[i]);
        if (tried(path, mount("cgroup", "/tmp/cg", "cgroup", 0, hierarchies[i])) < 0) continue;
        snprintf(path, sizeof path, "/nowhere/%s", token);
        tried("release_agent", write_file("/tmp/cg/release_agent", path));
        umount("/tmp/cg");
    }
    return 0;
}

static int clocks(int argc, char **argv) {
    (void)argc, (void)argv;
    /* A twentieth of a second is plain to see and harms nobody. */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct timespec later = now;
    later.tv_nsec += 50000000;
    if (later.tv_nsec >= 1000000000) later.tv_sec++, later.tv_nsec -= 1000000000;
    tried("clock_settime", syscall(SYS_clock_settime, CLOCK_REALTIME, &later));
    struct timeval day = {later.tv_sec, later.tv_nsec / 1000};
    tried("settimeofday", syscall(SYS_settimeofday, &day, NULL));
    struct timex change = {.modes = ADJ_TICK, .tick = 10000};
    tried("adjtimex", syscall(SYS_adjtimex, &change));
    struct timex offset = {.modes = ADJ_SETOFFSET | ADJ_NANO, .time = {0, 50000000}};
    tried("clock_adjtime", syscall(SYS_clock_adjtime, CLOCK_REALTIME, &offset));
    int device = open("/dev/rtc0", O_RDWR);
    tried("rtc", device);
    return 0;
}

static int calls(int argc, char **argv) {
    (void)argc, (void)argv;
    tried("reboot", syscall(SYS_reboot, 0, 0, 0, NULL)); /* wrong magic numbers: only the permission is asked */
    tried("kexec_load", syscall(SYS_kexec_load, 0, 9999, NULL, ~0UL));
    tried("kexec_file_load", syscall(SYS_kexec_file_load, -1, -1, 0, NULL, ~0UL));
    tried("init_module", syscall(SYS_init_module, NULL, 0, ""));
    tried("finit_module", syscall(SYS_finit_module, -1, "", 0));
    tried("delete_module", syscall(SYS_delete_module, "hostile", 0));
    tried("bpf", syscall(SYS_bpf, 0, NULL, 0));
    uint8_t map[72] = {2, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 1};
    tried("bpf map", syscall(SYS_bpf, 0, map, sizeof map));
    uint8_t event[128] = {1, 0, 0, 0, 112};
    tried("perf_event_open", syscall(SYS_perf_event_open, event, -1, 0, -1, 0));
    uint8_t ring[120] = {0};
    tried("io_uring_setup", syscall(425, 4, ring));
    tried("userfaultfd", syscall(SYS_userfaultfd, 0));
    tried("add_key", syscall(SYS_add_key, "user", "hostile-key", "x", 1, -4));
    tried("request_key", syscall(SYS_request_key, "user", "hostile-key", NULL, 0));
    tried("keyctl", syscall(SYS_keyctl, 0, -4, 1));
    tried("swapon", syscall(SYS_swapon, "/nowhere", 0));
    tried("swapoff", syscall(SYS_swapoff, "/nowhere"));
    tried("acct", syscall(SYS_acct, NULL));
    tried("quotactl", syscall(SYS_quotactl, 0x80000700, "/dev/vda", 0, NULL));
    tried("syslog", syscall(SYS_syslog, 10, NULL, 0));
    tried("iopl", syscall(SYS_iopl, 3));
    tried("ioperm", syscall(SYS_ioperm, 0x80, 1, 1));
    tried("sethostname", syscall(SYS_sethostname, "hostile", 7));
    tried("setdomainname", syscall(SYS_setdomainname, "hostile", 7));
    tried("vhangup", syscall(SYS_vhangup));
    tried("lookup_dcookie", syscall(SYS_lookup_dcookie, 0, NULL, 0));
    tried("open_by_handle_at", syscall(SYS_open_by_handle_at, -100, "\0\0\0\0\0\0\0\0", 0));
    tried("fanotify_init", syscall(SYS_fanotify_init, 4, 0));
    tried("move_pages", syscall(SYS_move_pages, 1, 0, NULL, NULL, NULL, 0));
    tried("kcmp", syscall(SYS_kcmp, 1, 2, 0, 0, 0));
    tried("nfsservctl", syscall(SYS_nfsservctl, 0, NULL, NULL));
    tried("personality", syscall(SYS_personality, 0x0400000 /* READ_IMPLIES_EXEC */));
    tried("pidfd_getfd", syscall(438, 1, 0, 0));
    tried("mount_setattr", syscall(442, -1, "", 0, NULL, 0));
    tried("landlock", syscall(444, NULL, 0, 1));
    tried("seccomp off", syscall(SYS_prctl, PR_SET_SECCOMP, 0, 0, 0, 0));
    tried("no_new_privs off", syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    tried("capbset raise", syscall(SYS_prctl, 47 /* PR_CAP_AMBIENT */, 2, 21, 0, 0));
    say("waiting");
    nap(1.5);
    return 0;
}

const struct entry kernel[] = {
    {"mounts", mounts}, {"system-files", system_files}, {"release-agent", release_agent},
    {"clocks", clocks}, {"calls", calls},               {NULL, NULL},
};
