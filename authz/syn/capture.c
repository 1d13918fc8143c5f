/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"
#include "pcap_source.h"

enum {
    FRAME_MAX = 65535, /* p0f looks at no more of a frame */

    SLL_TYPE_AT = 14, /* the last two of 16 bytes, as in Ethernet's header */
    SLL2_SIZE = 20,   /* begins with the type */
    LOOPBACK_SIZE = 4,

    /* what pcap files say for raw IP, depending on the system that wrote them; libpcap maps only
       some */
    LINK_RAW_BSD = 12,
    LINK_RAW_BSDOS = 14,
    LINK_RAW = 101,

    NANOSECONDS = 1000000000,
};

struct capture {
    pcap_t *pcap;
    uint64_t frames;
    enum parse_result (*parse)(const uint8_t *data, const uint8_t *end,
                               struct parse_packet *ret_packet);
};

static const char *const KIND_NAMES[] = {
    [FRAME_SYN] = "",
    [FRAME_NOT_IP] = "not IP",
    [FRAME_NOT_TCP] = "not TCP",
    [FRAME_NOT_SYN] = "not a SYN",
    [FRAME_BAD_FLAGS] = "SYN with FIN or RST",
    [FRAME_FRAGMENT] = "fragment",
    [FRAME_BAD_IP_HEADER] = "bad IP header",
    [FRAME_BAD_TCP_HEADER] = "bad TCP header",
    [FRAME_TRUNCATED] = "truncated",
    [FRAME_TOO_DEEP] = "too many VLAN tags or IPv6 extension headers",
};
static_assert(sizeof(KIND_NAMES) / sizeof(KIND_NAMES[0]) == FRAME_COUNT_, "name each kind");

static const enum frame_kind KINDS[] = {
    [PARSE_NOT_IP] = FRAME_NOT_IP,
    [PARSE_NOT_TCP] = FRAME_NOT_TCP,
    [PARSE_NOT_SYN] = FRAME_NOT_SYN,
    [PARSE_UDP] = FRAME_NOT_TCP,
    [PARSE_TUNNEL] = FRAME_NOT_TCP,
    [PARSE_LINK] = FRAME_NOT_IP,
    [PARSE_FRAGMENT] = FRAME_FRAGMENT,
    [PARSE_BAD_IP_HEADER] = FRAME_BAD_IP_HEADER,
    [PARSE_CUT_OFF] = FRAME_TRUNCATED,
    [PARSE_VLAN_TOO_DEEP] = FRAME_TOO_DEEP,
    [PARSE_IPV6_TOO_DEEP] = FRAME_TOO_DEEP,
    [PARSE_SYN] = FRAME_SYN,
    [PARSE_BAD_FLAGS] = FRAME_BAD_FLAGS,
    [PARSE_BAD_LENGTH] = FRAME_BAD_IP_HEADER,
    [PARSE_BAD_OFFSET] = FRAME_BAD_TCP_HEADER,
    [PARSE_TRUNCATED] = FRAME_TRUNCATED,
};
static_assert(sizeof(KINDS) / sizeof(KINDS[0]) == PARSE_COUNT_, "map each result");

const char *frame_kind_name(enum frame_kind kind)
{
    return KIND_NAMES[kind];
}

static enum parse_result parse_ethernet_frame(const uint8_t *data, const uint8_t *end,
                                              struct parse_packet *ret_packet)
{
    return parse_syn_ethernet(data, end, ret_packet);
}

static enum parse_result parse_raw_frame(const uint8_t *data, const uint8_t *end,
                                         struct parse_packet *ret_packet)
{
    return parse_syn_ip(data, end, ret_packet);
}

/* BSD loopback: an address family, in the byte order of whoever wrote it, that says no more than
 * the version of the IP header behind it. */
static enum parse_result parse_loopback_frame(const uint8_t *data, const uint8_t *end,
                                              struct parse_packet *ret_packet)
{
    if (end - data < LOOPBACK_SIZE)
        return PARSE_NOT_IP;
    return parse_syn_ip(data + LOOPBACK_SIZE, end, ret_packet);
}

/* The last 14 bytes of Linux' cooked header have their type where Ethernet's header has it. */
static enum parse_result parse_sll_frame(const uint8_t *data, const uint8_t *end,
                                         struct parse_packet *ret_packet)
{
    if (end - data < SLL_TYPE_AT)
        return PARSE_NOT_IP;
    return parse_syn_ethernet(data + SLL_TYPE_AT - PARSE_ETH_TYPE, end, ret_packet);
}

/* Version 2 begins with the type: put it where Ethernet's header has it. */
static enum parse_result parse_sll2_frame(const uint8_t *data, const uint8_t *end,
                                          struct parse_packet *ret_packet)
{
    enum parse_result result;
    uint16_t type;

    if (end - data < SLL2_SIZE)
        return PARSE_NOT_IP;
    type = parse_be16(data);
    *ret_packet = (struct parse_packet){.end = end};
    if (parse_is_vlan(type))
        result = parse_tagged(data + SLL2_SIZE - PARSE_ETH_SIZE, type, 0, ret_packet);
    else
        result = parse_by_type(type, data + SLL2_SIZE, ret_packet);
    if (result != PARSE_SYN)
        return result;
    return parse_check(ret_packet, (uint64_t)(end - ret_packet->ip));
}

static int choose_parser(struct capture *capture, struct diag *diag)
{
    int link = pcap_datalink(capture->pcap);

    switch (link) {
    case DLT_EN10MB:
        capture->parse = parse_ethernet_frame;
        return 0;
    case LINK_RAW:
    case LINK_RAW_BSD:
    case LINK_RAW_BSDOS:
    case DLT_IPV4:
    case DLT_IPV6:
        capture->parse = parse_raw_frame;
        return 0;
    case DLT_LINUX_SLL:
        capture->parse = parse_sll_frame;
        return 0;
    case DLT_LINUX_SLL2:
        capture->parse = parse_sll2_frame;
        return 0;
    case DLT_NULL:
    case DLT_LOOP:
        capture->parse = parse_loopback_frame;
        return 0;
    default:
        return diag_set(
            diag, -EINVAL,
            "its link type is %s (%d); known are Ethernet, raw IP, Linux cooked and "
            "BSD loopback",
            pcap_datalink_val_to_name(link) ? pcap_datalink_val_to_name(link) : "unknown", link);
    }
}

void capture_freep(struct capture **capture)
{
    if (*capture && (*capture)->pcap)
        pcap_close((*capture)->pcap);
    free(*capture);
    *capture = NULL;
}

/* Our own duplicate, since libpcap closes what it was given.  It may be a pipe. */
static int duplicate_stdin(int *ret_fd, struct diag *diag)
{
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    if (fd < 0)
        return diag_set(diag, -errno, "cannot read standard input: %s", strerror(errno));
    *ret_fd = fd;
    return 0;
}

static int open_file(const char *path, FILE **ret_file, struct diag *diag)
{
    CLEANUP(closep) int fd = -1;
    int r = strcmp(path, "-") == 0 ? duplicate_stdin(&fd, diag) : file_open(path, &fd, diag);

    if (r < 0)
        return r;
    *ret_file = fdopen(fd, "rb");
    if (!*ret_file)
        return diag_set(diag, -errno, "cannot read the file: %s", strerror(errno));
    (void)take_fd(&fd); /* the stream closes it */
    return 0;
}

int capture_open(const char *path, struct capture **ret_capture, struct diag *diag)
{
    CLEANUP(fclosep) FILE *file = NULL;
    CLEANUP(capture_freep) struct capture *capture = calloc(1, sizeof(*capture));
    char reason[PCAP_ERRBUF_SIZE];
    int r;

    if (!capture)
        return -ENOMEM;
    diag_set_file(diag, path);
    r = open_file(path, &file, diag);
    if (r < 0)
        return r;
    capture->pcap =
        pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, reason);
    if (!capture->pcap)
        return diag_set(diag, ferror(file) ? -EIO : -EINVAL, "%s", reason);
    file = NULL; /* libpcap closes it */
    r = choose_parser(capture, diag);
    if (r < 0)
        return r;
    *ret_capture = TAKE_PTR(capture);
    return 0;
}

static struct endpoint endpoint_from_wire(uint8_t family, const uint8_t address[16],
                                          const void *port_be)
{
    return (struct endpoint){
        .addr = family == 4 ? addr_from_v4(address + 12) : addr_from_v6(address),
        .port = parse_be16(port_be),
    };
}

static void read_syn(const struct parse_packet *packet, struct capture_frame *frame)
{
    struct pending_key key;
    struct syn_record record;

    parse_fill(packet, &key, &record);
    frame->flow = (struct flow){
        .source = endpoint_from_wire(key.family, key.source, &key.source_port_be),
        .destination = endpoint_from_wire(key.family, record.wire_destination,
                                          &record.wire_destination_port_be),
    };
    syn_from_record(&record, &frame->syn);
}

/* Fractions beyond a second are found in damaged files only, but a reader of ours may count on
 * them. */
static struct timespec time_of(const struct pcap_pkthdr *header)
{
    uint64_t ns = (uint64_t)header->ts.tv_usec; /* libpcap keeps nanoseconds here */

    return (struct timespec){
        .tv_sec = header->ts.tv_sec + (time_t)(ns / NANOSECONDS),
        .tv_nsec = (long)(ns % NANOSECONDS),
    };
}

static size_t shortest(size_t a, size_t b, size_t c)
{
    size_t shorter = a < b ? a : b;

    return shorter < c ? shorter : c;
}

int capture_next(struct capture *capture, struct capture_frame *ret_frame, struct diag *diag)
{
    struct pcap_pkthdr *header;
    struct parse_packet packet;
    const uint8_t *data;
    int r = pcap_next_ex(capture->pcap, &header, &data);

    if (r == PCAP_ERROR_BREAK)
        return 0;
    if (r < 0)
        return diag_set(diag, -EINVAL, "behind packet %llu: %s",
                        (unsigned long long)capture->frames, pcap_geterr(capture->pcap));
    *ret_frame = (struct capture_frame){
        .number = ++capture->frames,
        .time = time_of(header),
        .kind = KINDS[capture->parse(data, data + shortest(header->caplen, header->len, FRAME_MAX),
                                     &packet)],
    };
    if (ret_frame->kind == FRAME_SYN)
        read_syn(&packet, ret_frame);
    return 1;
}
