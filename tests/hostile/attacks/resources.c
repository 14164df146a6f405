/* Taking all there is: processes, memory, descriptors, processor time. Every loop has an end of its own. */
#include "attack.h"

#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>

#define MIB (1024L * 1024L)

/* fork-bomb [MOST] [SECONDS]: every child forks as well, until MOST exist or no more can be made. */
static int fork_bomb(int argc, char **argv) {
    long most = number(argc, argv, 1, 2000);
    double seconds = (double)number(argc, argv, 2, 2);
    int *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int *refused = count + 1;
    pid_t first = getpid();
    signal(SIGCHLD, SIG_IGN);
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)seconds;
    for (;;) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec > end.tv_nsec)) break;
        if (__sync_fetch_and_add(count, 1) >= most) {
            __sync_fetch_and_sub(count, 1);
            nap(0.05);
            continue;
        }
        if (fork() < 0) {
            __sync_fetch_and_sub(count, 1);
            __sync_fetch_and_add(refused, 1);
            nap(0.02);
        }
    }
    if (getpid() == first) say("forked %d, refused %d", *count, *refused);
    _exit(0);
}

static void *sleeper(void *unused) {
    nap(3);
    return unused;
}

static int thread_bomb(int argc, char **argv) {
    long most = number(argc, argv, 1, 2000), made = 0;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16384);
    for (; made < most; made++) {
        pthread_t thread;
        if (pthread_create(&thread, &small, sleeper, NULL) != 0) break;
    }
    say("threads %ld", made);
    nap(1.5);
    return 0;
}

/* memory [MIB]: anonymous pages, touched one by one. */
static int memory(int argc, char **argv) {
    long most = number(argc, argv, 1, 1024);
    for (long taken = 0; taken < most; taken += 4) {
        char *part = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (part == MAP_FAILED) break;
        for (long at = 0; at < 4 * MIB; at += 4096) part[at] = (char)at;
        if (taken % 64 == 0) say("took %ld MiB", taken + 4);
    }
    say("took all");
    nap(1);
    return 0;
}

/* file-fill PATH MIB: writes until it is full. */
static int file_fill(int argc, char **argv) {
    if (argc < 3) return 64;
    static char block[256 * 1024];
    memset(block, 'x', sizeof block);
    int file = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0) return tried("open", -1) != 0;
    long written = 0, most = number(argc, argv, 2, 256) * MIB;
    while (written < most) {
        ssize_t some = write(file, block, sizeof block);
        if (some <= 0) break;
        written += some;
    }
    say("wrote %ld MiB: %s", written / MIB, written < most ? strerrorname_np(errno) : "all");
    nap((double)number(argc, argv, 3, 1));
    return written < most ? 1 : 0;
}

/* memfd MIB and sysv MIB: memory that belongs to no process. */
static int memfd(int argc, char **argv) {
    static char block[256 * 1024];
    memset(block, 'x', sizeof block);
    int file = memfd_create("hostile", 0);
    long written = 0, most = number(argc, argv, 1, 1024) * MIB;
    while (written < most && write(file, block, sizeof block) > 0) written += (long)sizeof block;
    say("wrote %ld MiB", written / MIB);
    nap(1);
    return 0;
}

static int sysv(int argc, char **argv) {
    long taken = 0, most = number(argc, argv, 1, 1024);
    for (; taken < most; taken += 16) {
        int id = shmget(IPC_PRIVATE, 16 * MIB, IPC_CREAT | 0600);
        if (id < 0) break;
        char *part = shmat(id, NULL, 0);
        if (part == (void *)-1) break;
        for (long at = 0; at < 16 * MIB; at += 4096) part[at] = 1;
        shmdt(part);
    }
    say("took %ld MiB", taken);
    nap(1);
    return 0;
}

/* buffers: kernel memory in pipes and sockets that nobody reads. */
static int buffers(int argc, char **argv) {
    static char block[65536];
    long pairs = number(argc, argv, 1, 400), kept = 0;
    for (long i = 0; i < pairs; i++) {
        int ends[2];
        if (i % 2) {
            if (pipe2(ends, O_NONBLOCK) != 0) break;
            fcntl(ends[1], F_SETPIPE_SZ, 1024 * 1024);
        } else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) {
            break;
        } else {
            int size = 4 * 1024 * 1024;
            setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        }
        for (int turn = 0; turn < 64; turn++) {
            ssize_t some = write(ends[1], block, sizeof block);
            if (some <= 0) break;
            kept += some;
        }
    }
    say("kept %ld MiB", kept / MIB);
    nap(1);
    return 0;
}

static int open_files(int argc, char **argv) {
    long most = number(argc, argv, 1, 200000), opened = 0;
    struct rlimit wanted = {1 << 20, 1 << 20};
    tried("setrlimit", setrlimit(RLIMIT_NOFILE, &wanted));
    while (opened < most && open("/etc/passwd", O_RDONLY) >= 0) opened++;
    say("opened %ld", opened);
    nap(1.5);
    return 0;
}

/* inotify and the like are counted per user, and without a user namespace that is the host's user. */
static int user_quotas(int argc, char **argv) {
    long most = number(argc, argv, 1, 4096), made = 0;
    while (made < most && inotify_init1(0) >= 0) made++;
    say("inotify instances %ld", made);
    nap((double)number(argc, argv, 2, 2));
    return 0;
}

static void *spin(void *unused) {
    for (volatile unsigned long i = 0;; i++) {
    }
    return unused;
}

/* cpu-hog SECONDS: as many threads as the host has processors and more, with all the priority that is to be had. */
static int cpu_hog(int argc, char **argv) {
    struct sched_param highest = {.sched_priority = 99};
    tried("sched_setscheduler fifo", sched_setscheduler(0, SCHED_FIFO, &highest));
    tried("sched_setscheduler rr", sched_setscheduler(0, SCHED_RR, &highest));
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } deadline = {48, 6, 0, 0, 0, 9000000, 10000000, 10000000};
    tried("sched_setattr deadline", syscall(SYS_sched_setattr, 0, &deadline, 0));
    errno = 0;
    tried("setpriority -20", setpriority(PRIO_PROCESS, 0, -20));
    tried("ioprio_set realtime", syscall(SYS_ioprio_set, 1, 0, (1 << 13) | 0));
    for (int i = 0; i < 8; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, spin, NULL);
    }
    nap((double)number(argc, argv, 1, 2));
    return 0;
}

static int oom_score(int argc, char **argv) {
    (void)argc, (void)argv;
    int file = open("/proc/self/oom_score_adj", O_WRONLY);
    tried("oom_score_adj -1000", file < 0 ? -1 : write(file, "-1000", 5));
    tried("oom_score_adj -500", file < 0 ? -1 : write(file, "-500", 4));
    tried("oom_score_adj 0", file < 0 ? -1 : write(file, "0", 1));
    say("waiting");
    nap(2);
    return 0;
}

static int core_dumps(int argc, char **argv) {
    long most = number(argc, argv, 1, 50);
    struct rlimit wanted = {RLIM_INFINITY, RLIM_INFINITY};
    tried("setrlimit core", setrlimit(RLIMIT_CORE, &wanted));
    int dumped = 0;
    for (long i = 0; i < most; i++) {
        pid_t child = fork();
        if (child == 0) {
            memset(malloc(4 * MIB), 1, 4 * MIB);
            raise(SIGSEGV);
            _exit(0);
        }
        int status = 0;
        waitpid(child, &status, 0);
        dumped += WIFSIGNALED(status) && WCOREDUMP(status);
    }
    say("dumped %d", dumped);
    return 0;
}

static int entropy(int argc, char **argv) {
    static char block[1 << 20];
    long most = number(argc, argv, 1, 64);
    int file = open("/dev/random", O_RDONLY);
    for (long i = 0; i < most; i++)
        if (read(file, block, sizeof block) <= 0 || syscall(SYS_getrandom, block, sizeof block, 2) <= 0) break;
    int fill = open("/dev/random", O_WRONLY);
    struct {
        int bits, size;
        char data[4];
    } fake = {32, 4, {0}};
    tried("add entropy", fill < 0 ? -1 : syscall(SYS_ioctl, fill, 0x40085203 /* RNDADDENTROPY */, &fake));
    tried("clear pool", fill < 0 ? -1 : syscall(SYS_ioctl, fill, 0x5206 /* RNDCLEARPOOL */, 0));
    return 0;
}

const struct entry resources[] = {
    {"fork-bomb", fork_bomb},   {"thread-bomb", thread_bomb}, {"memory", memory},       {"file-fill", file_fill},
    {"memfd", memfd},           {"sysv", sysv},               {"buffers", buffers},     {"open-files", open_files},
    {"user-quotas", user_quotas}, {"cpu-hog", cpu_hog},       {"oom-score", oom_score}, {"core-dumps", core_dumps},
    {"entropy", entropy},       {NULL, NULL},
};
