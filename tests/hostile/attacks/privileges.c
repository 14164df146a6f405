/* Becoming more than one was: root, another user namespace, a capability. */
#include "attack.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/xattr.h>

static void show_status(const char *when) {
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "Uid:", 4) == 0 || strncmp(line, "CapEff:", 7) == 0 || strncmp(line, "NoNewPrivs:", 11) == 0) {
            line[strcspn(line, "\n")] = 0;
            say("%s %s", when, line);
        }
    if (status) fclose(status);
}

/* hold NAME SECONDS: what a setuid or capable copy of this program runs, so that the host can look at it. */
static int hold(int argc, char **argv) {
    prctl(PR_SET_NAME, argc > 1 ? argv[1] : "hostile-held");
    tried("setuid 0", setuid(0));
    show_status("held");
    nap((double)number(argc, argv, 2, 2));
    return 0;
}

/* setuid PATH...: runs each copy, which are setuid root or carry file capabilities. */
static int run_setuid(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (fork() == 0) {
            char name[16];
            snprintf(name, sizeof name, "hostile-held-%u", (unsigned)i % 10);
            execl(argv[i], "attack", "hold", name, "2", (char *)NULL);
            tried(argv[i], -1);
            _exit(1);
        }
    }
    while (wait(NULL) > 0) {
    }
    return 0;
}

/* make-setuid: root in the container makes a setuid copy and capabilities on a file, then drops root and runs them. */
static int make_setuid(int argc, char **argv) {
    (void)argc, (void)argv;
    char copy[] = "/tmp/setuid-copy";
    int from = open("/proc/self/exe", O_RDONLY), to = open(copy, O_WRONLY | O_CREAT, 0755);
    char block[65536];
    ssize_t some;
    while ((some = read(from, block, sizeof block)) > 0)
        if (write(to, block, (size_t)some) != some) return 1;
    close(to);
    tried("chmod 4755", chmod(copy, 04755));
    struct {
        uint32_t magic, permitted, inheritable, permitted2, inheritable2;
    } capability = {0x02000001, 1u << 21, 0, 0, 0};
    tried("setxattr capability", setxattr("/bin/attack", "security.capability", &capability, sizeof capability, 0));
    if (fork() == 0) {
        tried("setgid", setgid(1000));
        tried("setuid", setuid(1000));
        char *arguments[] = {"setuid", copy, NULL};
        _exit(run_setuid(2, arguments));
    }
    wait(NULL);
    return 0;
}

/* namespaces: every way to a namespace in which one would be root. */
static int namespaces(int argc, char **argv) {
    (void)argc, (void)argv;
    static const struct {
        const char *name;
        long flag;
    } kinds[] = {{"user", CLONE_NEWUSER}, {"mount", CLONE_NEWNS}, {"net", CLONE_NEWNET},   {"pid", CLONE_NEWPID},
                 {"uts", CLONE_NEWUTS},   {"ipc", CLONE_NEWIPC},  {"cgroup", CLONE_NEWCGROUP}};
    char name[64];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        pid_t child = fork();
        if (child == 0) {
            snprintf(name, sizeof name, "unshare %s", kinds[i].name);
            tried(name, syscall(SYS_unshare, kinds[i].flag));
            snprintf(name, sizeof name, "unshare user and %s", kinds[i].name);
            tried(name, syscall(SYS_unshare, kinds[i].flag | CLONE_NEWUSER));
            nap(0.05);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    long made = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0);
    if (made == 0) {
        nap(1);
        _exit(0);
    }
    tried("clone user", made);
    struct {
        uint64_t flags, pidfd, child, parent, signal, stack, stack_size, tls;
    } wanted = {.flags = CLONE_NEWUSER, .signal = SIGCHLD};
    made = syscall(SYS_clone3, &wanted, sizeof wanted);
    if (made == 0) {
        nap(1);
        _exit(0);
    }
    tried("clone3 user", made);
    for (int pid = 1; pid < 4; pid++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
        int space = open(path, O_RDONLY);
        snprintf(name, sizeof name, "setns mount of %d", pid);
        tried(name, space < 0 ? -1 : syscall(SYS_setns, space, 0));
    }
    show_status("after");
    nap(1);
    return 0;
}

const struct entry privileges[] = {
    {"hold", hold}, {"setuid", run_setuid}, {"make-setuid", make_setuid}, {"namespaces", namespaces}, {NULL, NULL},
};
