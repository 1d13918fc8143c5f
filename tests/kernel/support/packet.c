/* SPDX-License-Identifier: Apache-2.0 */
#include "packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { ETH = 14, IP4 = 20, IP6 = 40, TCP = 20, BATCH = 64, WAIT_S = 3, SEND_TRIES = 1000 };

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t sum16(uint32_t sum, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
    return sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* The pseudo header is the addresses (RFC 793, RFC 8200 8.1), the protocol and the length. */
static void set_tcp_checksum(const uint8_t *addresses, size_t addresses_length, uint8_t *tcp,
                             size_t length)
{
    uint32_t sum = sum16(6 + (uint32_t)length, addresses, addresses_length);

    put16(tcp + 16, 0);
    put16(tcp + 16, fold(sum16(sum, tcp, length)));
}

static size_t build_tcp(const struct segment *segment, uint8_t *tcp)
{
    size_t header = TCP;

    memset(tcp, 0, TCP);
    if (segment->mss) {
        tcp[header] = 2;
        tcp[header + 1] = 4;
        put16(tcp + header + 2, segment->mss);
        header += 4;
    }
    if (segment->options_length)
        memcpy(tcp + header, segment->options, segment->options_length);
    header += segment->options_length;
    put16(tcp, segment->source_port);
    put16(tcp + 2, segment->destination_port);
    put32(tcp + 4, segment->seq);
    put32(tcp + 8, segment->ack);
    tcp[12] = (uint8_t)(header / 4 << 4);
    tcp[13] = segment->flags;
    put16(tcp + 14, segment->window ? segment->window : 64240);
    memset(tcp + header, 'x', segment->payload);
    return header + segment->payload;
}

static size_t build_ip4(const struct segment *segment, uint8_t *ip)
{
    size_t length = build_tcp(segment, ip + IP4);

    memset(ip, 0, IP4);
    ip[0] = 0x45;
    put16(ip + 2, (uint32_t)(IP4 + length));
    put16(ip + 6, 0x4000);
    ip[8] = segment->ttl ? segment->ttl : 64;
    ip[9] = 6;
    assert_int_equal(inet_pton(AF_INET, segment->source, ip + 12), 1);
    assert_int_equal(inet_pton(AF_INET, segment->destination, ip + 16), 1);
    put16(ip + 10, fold(sum16(0, ip, IP4)));
    set_tcp_checksum(ip + 12, 8, ip + IP4, length);
    return IP4 + length;
}

static size_t build_ip6(const struct segment *segment, uint8_t *ip)
{
    size_t length = build_tcp(segment, ip + IP6);

    memset(ip, 0, IP6);
    ip[0] = 0x60;
    put16(ip + 4, (uint32_t)length);
    ip[6] = 6;
    ip[7] = segment->ttl ? segment->ttl : 64;
    assert_int_equal(inet_pton(AF_INET6, segment->source, ip + 8), 1);
    assert_int_equal(inet_pton(AF_INET6, segment->destination, ip + 24), 1);
    set_tcp_checksum(ip + 8, 32, ip + IP6, length);
    return IP6 + length;
}

size_t segment_build(const struct segment *segment, uint8_t ret_frame[FRAME_MAX])
{
    static const uint8_t MACS[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
    int is_ip6 = strchr(segment->source, ':') != NULL;

    memcpy(ret_frame, MACS, sizeof(MACS));
    ret_frame[5] = (uint8_t)(ret_frame[5] + 7 * segment->elsewhere);
    put16(ret_frame + 12, is_ip6 ? ETH_P_IPV6 : ETH_P_IP);
    return ETH + (is_ip6 ? build_ip6 : build_ip4)(segment, ret_frame + ETH);
}

int raw_open(const struct netns *ns, const char *device)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    struct timeval timeout = {.tv_sec = WAIT_S};
    int fd, one = 1;

    netns_enter(ns);
    fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    address.sll_ifindex = (int)if_nametoindex(device);
    netns_leave();
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
    return fd;
}

void raw_send(int raw, const struct segment *segment)
{
    uint8_t frame[FRAME_MAX];
    size_t length = segment_build(segment, frame);

    ssize_t sent = send(raw, frame, length, 0);

    /* In a flood the device's queue may be full. */
    for (int i = 0; sent < 0 && errno == ENOBUFS && i < SEND_TRIES; i++) {
        (void)usleep(1000);
        sent = send(raw, frame, length, 0);
    }
    assert_int_equal(sent, length);
}

/* Where the TCP header of an IPv4 or IPv6 frame is, if it is a SYN-ACK to this address; else NULL.
 */
static const uint8_t *as_syn_ack(const uint8_t *frame, size_t length, const char *address)
{
    uint8_t bytes[16];
    int is_ip6 = strchr(address, ':') != NULL;
    const uint8_t *ip = frame + ETH, *tcp = ip + (is_ip6 ? IP6 : IP4);

    assert_int_equal(inet_pton(is_ip6 ? AF_INET6 : AF_INET, address, bytes), 1);
    if (length < ETH + IP6 + TCP - (is_ip6 ? 0 : 20) || frame[12] != (is_ip6 ? 0x86 : 0x08) ||
        (is_ip6 ? ip[6] : ip[9]) != 6)
        return NULL;
    if (memcmp(is_ip6 ? ip + 24 : ip + 16, bytes, is_ip6 ? 16 : 4) != 0)
        return NULL;
    return (tcp[13] & (FLAG_SYN | FLAG_ACK)) == (FLAG_SYN | FLAG_ACK) ? tcp : NULL;
}

uint32_t raw_wait_syn_ack(int raw, const char *address, uint16_t port)
{
    uint8_t frame[FRAME_MAX];
    time_t end = time(NULL) + WAIT_S;

    while (time(NULL) <= end) {
        ssize_t length = recv(raw, frame, sizeof(frame), 0);
        const uint8_t *tcp;

        if (length < 0)
            break;
        tcp = as_syn_ack(frame, (size_t)length, address);
        if (tcp && (tcp[2] << 8 | tcp[3]) == port)
            return get32(tcp + 4);
    }
    fail_msg("no SYN-ACK to %s port %u", address, port);
    return 0;
}

int raw_try_syn_ack(int raw, const char *address, uint16_t *ret_port, uint32_t *ret_seq)
{
    uint8_t frame[FRAME_MAX];
    ssize_t length;

    while ((length = recv(raw, frame, sizeof(frame), MSG_DONTWAIT)) >= 0) {
        const uint8_t *tcp = as_syn_ack(frame, (size_t)length, address);

        if (!tcp)
            continue;
        *ret_port = (uint16_t)(tcp[2] << 8 | tcp[3]);
        *ret_seq = get32(tcp + 4);
        return 1;
    }
    return 0;
}

void raw_announce(const struct netns *server, const char *address)
{
    netns_run(server, "ip neigh replace %s lladdr 02:00:00:00:00:01 dev near nud permanent",
              address);
}

void raw_finish(int raw, const struct segment *syn, uint32_t syn_ack_seq)
{
    struct segment ack = *syn;

    ack.flags = FLAG_ACK;
    ack.seq = syn->seq + 1 + syn->payload;
    ack.ack = syn_ack_seq + 1;
    ack.payload = 0;
    ack.mss = 0;
    ack.options_length = 0;
    raw_send(raw, &ack);
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* IPv4 only.  What nobody receives needs no right checksums. */
static void randomise(uint8_t *frame, size_t length, int elsewhere, uint32_t *state)
{
    uint8_t *ip = frame + ETH, *tcp = ip + IP4;

    put32(ip + 12, next_random(state));
    ip[12] = (uint8_t)(11 + ip[12] % 100); /* no multicast, no loopback */
    put16(tcp, 1024 + next_random(state) % 60000);
    put32(tcp + 4, next_random(state));
    if (elsewhere)
        return;
    put16(ip + 10, 0);
    put16(ip + 10, fold(sum16(0, ip, IP4)));
    set_tcp_checksum(ip + 12, 8, tcp, length - ETH - IP4);
}

size_t raw_flood(int raw, const struct segment *syn, size_t count)
{
    static uint32_t state = 0x2545f491;
    uint8_t frames[BATCH][FRAME_MAX];
    struct iovec parts[BATCH];
    struct mmsghdr messages[BATCH];
    size_t sent = 0, length = segment_build(syn, frames[0]);

    memset(messages, 0, sizeof(messages));
    for (size_t i = 0; i < BATCH; i++) {
        memcpy(frames[i], frames[0], length);
        parts[i] = (struct iovec){frames[i], length};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    while (sent < count) {
        int r;

        for (size_t i = 0; i < BATCH; i++)
            randomise(frames[i], length, syn->elsewhere, &state);
        r = sendmmsg(raw, messages, BATCH, 0);
        if (r < 0 && errno != ENOBUFS && errno != EAGAIN)
            fail_msg("sendmmsg: %s", strerror(errno));
        sent += r > 0 ? (size_t)r : 0;
    }
    return sent;
}
