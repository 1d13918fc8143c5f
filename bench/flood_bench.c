/* SPDX-License-Identifier: Apache-2.0 */
/* Of the handshakes that are under way during a flood of SYNs, how many end with their own SYN
 * known?
 *
 *     flood_bench RAW DEVICE PENDING RATE DELAY_MS     prints one JSON object
 *
 * RAW is a packet socket on the far end of DEVICE.  Through it come, at RATE a second, SYNs with
 * random sources, which the capture program sees like any other and the kernel drops behind it (to
 * an address that is nobody's: what is measured is the map, not the listener); and HANDSHAKES
 * handshakes, whose third segment follows DELAY_MS after the first. */
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include <arpa/inet.h>

#include "cleanup.h"
#include "local_capture.h"
#include "map_source.h"
#include "num.h"

enum {
    PORT = 8443,
    HANDSHAKES = 400,
    FIRST_SOURCE_PORT = 20000,
    SPREAD_MS = 300, /* over which the handshakes begin */
    SETTLE_MS = 100,
    BATCH = 64,
    ETH = 14,
    IP = 20,
    TCP = 24, /* with the MSS option */
    FRAME = ETH + IP + TCP,
    FLAG_SYN = 0x02,
    FLAG_ACK = 0x10,
};

static const uint8_t SERVER[4] = {10, 203, 9, 1}, NOBODY[4] = {10, 203, 9, 250},
                     CLIENT[4] = {10, 203, 9, 77};

struct handshake {
    uint64_t syn_at_ns; /* 0: not sent yet */
    uint32_t answer;    /* the server's sequence number */
    bool answered, finished;
};

struct bench {
    int raw, listener;
    uint64_t rate, delay_ns, flood_sent;
    uint32_t random;
    uint8_t server_mac[6];
    struct handshake handshakes[HANDSHAKES];
    struct local_capture *capture;
    struct syn_source *source;
};

static void die(const char *what, int error)
{
    (void)fprintf(stderr, "flood_bench: %s: %s\n", what, strerror(error < 0 ? -error : error));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t ms(uint64_t value)
{
    return value * 1000000u;
}

/* --- segments ----------------------------------------------------------------------------------
 */

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, (uint16_t)(value >> 16));
    put16(at + 2, (uint16_t)value);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t sum16(uint32_t sum, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i += 2)
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    return sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

struct segment {
    const uint8_t *source, *destination;
    uint16_t source_port;
    uint32_t seq, ack;
    uint8_t flags;
};

/* With the MSS option, also where a client would send none: nobody minds. */
static void build(const struct bench *bench, const struct segment *segment, uint8_t frame[FRAME])
{
    static const uint8_t MSS[4] = {2, 4, 0x05, 0xb4};
    uint8_t *ip = frame + ETH, *tcp = ip + IP;

    memset(frame, 0, FRAME);
    memcpy(frame, bench->server_mac, 6);
    frame[6] = 2;
    put16(frame + 12, 0x0800);
    ip[0] = 0x45;
    put16(ip + 2, IP + TCP);
    put16(ip + 6, 0x4000);
    ip[8] = 64;
    ip[9] = IPPROTO_TCP;
    memcpy(ip + 12, segment->source, 4);
    memcpy(ip + 16, segment->destination, 4);
    put16(ip + 10, fold(sum16(0, ip, IP)));
    put16(tcp, segment->source_port);
    put16(tcp + 2, PORT);
    put32(tcp + 4, segment->seq);
    put32(tcp + 8, segment->ack);
    tcp[12] = TCP / 4 << 4;
    tcp[13] = segment->flags;
    put16(tcp + 14, 64240);
    memcpy(tcp + 20, MSS, sizeof(MSS));
    put16(tcp + 16, fold(sum16(sum16(IPPROTO_TCP + TCP, ip + 12, 8), tcp, TCP)));
}

static void send_segment(const struct bench *bench, const struct segment *segment)
{
    uint8_t frame[FRAME];

    build(bench, segment, frame);
    if (send(bench->raw, frame, sizeof(frame), 0) < 0 && errno != ENOBUFS)
        die("sending a segment", errno);
}

/* --- the flood -----------------------------------------------------------------------------------
 */

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Without right checksums, which the capture does not look at: so the kernel drops them at once. */
static void send_flood_batch(struct bench *bench)
{
    static uint8_t frames[BATCH][FRAME];
    struct iovec parts[BATCH];
    struct mmsghdr messages[BATCH] = {{{0}, 0}};
    int r;

    if (!frames[0][0] && !frames[0][12])
        for (int i = 0; i < BATCH; i++)
            build(bench, &(struct segment){CLIENT, NOBODY, 0, 0, 0, FLAG_SYN}, frames[i]);
    for (int i = 0; i < BATCH; i++) {
        uint8_t *ip = frames[i] + ETH;

        put32(ip + 12, next_random(&bench->random));
        put16(ip + IP, (uint16_t)next_random(&bench->random));
        put32(ip + IP + 4, next_random(&bench->random));
        parts[i] = (struct iovec){frames[i], FRAME};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    r = sendmmsg(bench->raw, messages, BATCH, 0);
    if (r < 0 && errno != ENOBUFS && errno != EAGAIN)
        die("sending the flood", errno);
    bench->flood_sent += r > 0 ? (uint64_t)r : 0;
}

/* --- the handshakes
 * ------------------------------------------------------------------------------- */

static uint32_t isn_of(int number)
{
    return 0x20000000u + (uint32_t)number * 4099u;
}

static void begin(struct bench *bench, int number, uint64_t at_ns)
{
    send_segment(bench, &(struct segment){CLIENT, SERVER, (uint16_t)(FIRST_SOURCE_PORT + number),
                                          isn_of(number), 0, FLAG_SYN});
    bench->handshakes[number].syn_at_ns = at_ns;
}

static void finish(struct bench *bench, int number)
{
    send_segment(bench, &(struct segment){CLIENT, SERVER, (uint16_t)(FIRST_SOURCE_PORT + number),
                                          isn_of(number) + 1, bench->handshakes[number].answer + 1,
                                          FLAG_ACK});
    bench->handshakes[number].finished = true;
}

static void read_answers(struct bench *bench)
{
    uint8_t frame[256];
    ssize_t length;

    while ((length = recv(bench->raw, frame, sizeof(frame), MSG_DONTWAIT)) > 0) {
        const uint8_t *ip = frame + ETH, *tcp = ip + IP;
        int number = (tcp[2] << 8 | tcp[3]) - FIRST_SOURCE_PORT;

        if (length < ETH + IP + 20 || ip[9] != IPPROTO_TCP || memcmp(ip + 16, CLIENT, 4) != 0 ||
            (tcp[13] & (FLAG_SYN | FLAG_ACK)) != (FLAG_SYN | FLAG_ACK) || number < 0 ||
            number >= HANDSHAKES)
            continue;
        bench->handshakes[number].answer = get32(tcp + 4);
        bench->handshakes[number].answered = true;
    }
}

/* What is due by now; returns whether something is still to come. */
static bool step_handshakes(struct bench *bench, uint64_t elapsed_ns)
{
    bool more = false;

    for (int i = 0; i < HANDSHAKES; i++) {
        struct handshake *handshake = &bench->handshakes[i];

        if (handshake->finished)
            continue;
        more = true;
        if (!handshake->syn_at_ns) {
            if (elapsed_ns >= ms(SPREAD_MS) * (uint64_t)i / HANDSHAKES)
                begin(bench, i, elapsed_ns ? elapsed_ns : 1);
        } else if (handshake->answered && elapsed_ns >= handshake->syn_at_ns + bench->delay_ns)
            finish(bench, i);
    }
    return more;
}

/* Until all are done, and at most a second longer than that should take.  Returns the time taken.
 */
static uint64_t run(struct bench *bench)
{
    uint64_t start_ns = now_ns(), limit_ns = ms(SPREAD_MS + 1000) + bench->delay_ns, elapsed_ns;
    bool more = true;

    do {
        elapsed_ns = now_ns() - start_ns;
        read_answers(bench);
        more = step_handshakes(bench, elapsed_ns);
        if (bench->flood_sent < bench->rate * (elapsed_ns / 1000) / 1000000)
            send_flood_batch(bench);
    } while (more && elapsed_ns < limit_ns);
    return elapsed_ns;
}

static struct flow flow_of(int number)
{
    return (struct flow){{addr_from_v4(CLIENT), (uint16_t)(FIRST_SOURCE_PORT + number)},
                         {addr_from_v4(SERVER), PORT}};
}

/* Of a handshake that the kernel completed the tracker has made an entry, with the SYN or without.
 */
static void print_result(const struct bench *bench, uint64_t elapsed_ns)
{
    unsigned verified = 0, established = 0;

    for (int i = 0; i < HANDSHAKES; i++) {
        struct flow flow = flow_of(i);
        struct syn_answer answer;

        bench->source->lookup(bench->source, &flow, &answer);
        verified += answer.state == SYN_STATE_VERIFIED && answer.syn.isn == isn_of(i);
        established += answer.state == SYN_STATE_VERIFIED || answer.reason == SYN_REASON_NO_SYN;
    }
    (void)printf("{\"handshakes\": %u, \"established\": %u, \"verified\": %u, \"flood\": %llu, "
                 "\"seconds\": %.3f}\n",
                 HANDSHAKES, established, verified, (unsigned long long)bench->flood_sent,
                 (double)elapsed_ns / 1e9);
}

/* --- set-up --------------------------------------------------------------------------------------
 */

static void listen_here(struct bench *bench)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};

    bench->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bench->listener < 0 ||
        bind(bench->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(bench->listener, 4 * HANDSHAKES) < 0)
        die("listening", errno);
}

static void read_mac(struct bench *bench, const char *device)
{
    struct ifreq request = {.ifr_flags = 0};

    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
    if (ioctl(bench->listener, SIOCGIFHWADDR, &request) < 0)
        die(device, errno);
    memcpy(bench->server_mac, request.ifr_hwaddr.sa_data, sizeof(bench->server_mac));
}

static void start_capture(struct bench *bench, const char *device, uint32_t max_pending)
{
    const uint16_t port = PORT;
    const struct local_capture_config config = {.interfaces = &device,
                                                .interface_count = 1,
                                                .ports = &port,
                                                .port_count = 1,
                                                .max_pending = max_pending};
    struct map_source_config source = {.maps = NULL};
    struct diag diag = {.text = ""};
    int r = local_capture_start(&config, &bench->capture, &diag);

    if (r < 0)
        die(diag.text, r);
    source.maps = local_capture_get_maps(bench->capture);
    r = map_source_new(&source, &bench->source, &diag);
    if (r < 0)
        die(diag.text, r);
}

static void bench_done(struct bench *bench)
{
    syn_source_freep(&bench->source);
    local_capture_freep(&bench->capture);
    closep(&bench->listener);
}

static uint64_t number_of(const char *text, uint64_t max)
{
    uint64_t number;

    if (num_parse_u64(str_from(text), 0, max, &number) < 0)
        die(text, EINVAL);
    return number;
}

int main(int argc, char **argv)
{
    CLEANUP(bench_done) struct bench bench = {.listener = -1, .random = 0x2545f491};
    uint64_t elapsed_ns;

    if (argc != 6)
        die("usage: flood_bench RAW DEVICE PENDING RATE DELAY_MS", EINVAL);
    bench.raw = (int)number_of(argv[1], INT32_MAX);
    bench.rate = number_of(argv[4], 100000000);
    bench.delay_ns = ms(number_of(argv[5], 10000));
    listen_here(&bench);
    read_mac(&bench, argv[2]);
    start_capture(&bench, argv[2], (uint32_t)number_of(argv[3], UINT32_MAX));
    elapsed_ns = run(&bench);
    (void)nanosleep(&(struct timespec){.tv_nsec = (long)ms(SETTLE_MS)}, NULL);
    print_result(&bench, elapsed_ns);
    return 0;
}
