/* Reaching what is not the internet, and speaking as somebody else. */
#include "attack.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* connect TOKEN ADDRESS:PORT... ([v6]:port too): TCP and UDP to each; what answers is printed. All at once. */
static int reach(int argc, char **argv) {
    if (argc < 3) return 64;
    const char *token = argv[1];
    signal(SIGPIPE, SIG_IGN);
    struct pollfd waiting[512];
    int many = 0;
    for (int i = 2; i < argc && many < 500; i++) {
        char host[128];
        snprintf(host, sizeof host, "%s", argv[i]);
        char *colon = strrchr(host, ':');
        if (!colon) continue;
        *colon = 0;
        struct sockaddr_in six_less = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
        struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = six_less.sin_port};
        struct sockaddr *address = (struct sockaddr *)&six_less;
        socklen_t size = sizeof six_less;
        if (host[0] == '[') {
            host[strlen(host) - 1] = 0;
            char *scope = strchr(host, '%');
            if (scope) {
                *scope = 0;
                six.sin6_scope_id = if_nametoindex(scope + 1);
            }
            if (inet_pton(AF_INET6, host + 1, &six.sin6_addr) != 1) continue;
            address = (struct sockaddr *)&six;
            size = sizeof six;
        } else if (inet_pton(AF_INET, host, &six_less.sin_addr) != 1) {
            continue;
        }
        int datagram = socket(address->sa_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (datagram >= 0) {
            if (sendto(datagram, token, strlen(token), 0, address, size) < 0) tried(argv[i], -1);
            close(datagram);
        }
        int stream = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (stream < 0) {
            tried(argv[i], -1);
            continue;
        }
        waiting[many] = (struct pollfd){.fd = stream, .events = POLLOUT};
        if (connect(stream, address, size) < 0 && errno != EINPROGRESS) tried(argv[i], -1);
        many++;
    }
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    int reached = 0;
    for (;;) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        long left = 2000 - (now.tv_sec - begin.tv_sec) * 1000 - (now.tv_nsec - begin.tv_nsec) / 1000000;
        if (left <= 0 || poll(waiting, (nfds_t)many, (int)left) <= 0) break;
        for (int i = 0; i < many; i++) {
            if (waiting[i].fd < 0 || !waiting[i].revents) continue;
            int code = 0;
            socklen_t size = sizeof code;
            getsockopt(waiting[i].fd, SOL_SOCKET, SO_ERROR, &code, &size);
            if (code == 0 && write(waiting[i].fd, token, strlen(token)) > 0) reached++;
            waiting[i].fd = -1;
        }
    }
    say("reached %d of %d", reached, many);
    return 0;
}

/* raw TOKEN SOURCE TARGET: packets with a source address of another, and frames past the IP layer. */
static int raw(int argc, char **argv) {
    const char *token = argc > 1 ? argv[1] : "hostile";
    in_addr_t from = inet_addr(argc > 2 ? argv[2] : "203.0.113.1"), to = inet_addr(argc > 3 ? argv[3] : "203.0.113.2");
    tried("raw icmp", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    int packet = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    tried("raw ip", packet);
    if (packet >= 0) {
        struct {
            struct iphdr ip;
            struct udphdr udp;
            char data[32];
        } forged = {.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP, .saddr = from, .daddr = to}};
        forged.udp.dest = htons(53);
        forged.udp.len = htons(sizeof forged - sizeof forged.ip);
        snprintf(forged.data, sizeof forged.data, "%s", token);
        struct sockaddr_in target = {.sin_family = AF_INET, .sin_addr.s_addr = to};
        tried("forged ip", sendto(packet, &forged, sizeof forged, 0, (struct sockaddr *)&target, sizeof target));
    }
    int frames = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    tried("packet socket", frames);
    if (frames >= 0) {
        unsigned char frame[64] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1};
        memcpy(frame + 28, &from, 4);
        memcpy(frame + 38, &from, 4);
        struct sockaddr_ll target = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("eth0"), .sll_halen = 6};
        tried("forged arp", sendto(frames, frame, sizeof frame, 0, (struct sockaddr *)&target, sizeof target));
    }
    int plain = socket(AF_INET, SOCK_DGRAM, 0), yes = 1;
    tried("IP_TRANSPARENT", setsockopt(plain, IPPROTO_IP, 19, &yes, sizeof yes));
    struct ifreq card = {.ifr_name = "eth0", .ifr_flags = IFF_UP | IFF_PROMISC};
    tried("promiscuous", ioctl(plain, SIOCSIFFLAGS, &card));
    struct sockaddr_in *own = (struct sockaddr_in *)&card.ifr_addr;
    *own = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = from};
    tried("another address", ioctl(plain, SIOCSIFADDR, &card));
    tried("netlink filter", socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
    static const int odd[] = {2 /* not AF_INET: see below */, 3, 4, 5, 9, 17, 21, 29, 30, 31, 36, 38, 40, 44};
    char name[32];
    for (size_t i = 1; i < sizeof odd / sizeof *odd; i++) {
        snprintf(name, sizeof name, "family %d", odd[i]);
        tried(name, socket(odd[i], SOCK_SEQPACKET, 0));
    }
    return 0;
}

/* many-connections ADDRESS PORT COUNT: UDP flows, each from a port of its own. */
static int flows(int argc, char **argv) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number(argc, argv, 2, 9))};
    inet_pton(AF_INET, argc > 1 ? argv[1] : "203.0.113.2", &to.sin_addr);
    long most = number(argc, argv, 3, 20000), sent = 0;
    for (long i = 0; i < most; i++) {
        int end = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (end < 0) break;
        to.sin_port = htons((uint16_t)(1024 + i % 60000));
        if (sendto(end, "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1) sent++;
        close(end);
    }
    say("flows %ld", sent);
    nap((double)number(argc, argv, 4, 0));
    return 0;
}

/* neighbours FIRST COUNT: a datagram to each address of one's own network, so that each is asked for. */
static int neighbours(int argc, char **argv) {
    struct in_addr first;
    inet_pton(AF_INET, argc > 1 ? argv[1] : "172.18.0.0", &first);
    int end = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    long most = number(argc, argv, 2, 8000), sent = 0;
    for (long i = 2; i < most; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
        to.sin_addr.s_addr = htonl(ntohl(first.s_addr) + (uint32_t)i);
        if (sendto(end, "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1) sent++;
    }
    say("asked %ld", sent);
    nap((double)number(argc, argv, 3, 1));
    return 0;
}

const struct entry network[] = {
    {"connect", reach}, {"raw", raw}, {"flows", flows}, {"neighbours", neighbours}, {NULL, NULL},
};
