/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: HTTP/2 frames by hand, for clients that behave as no library does.  Source: RFC 9113,
 * RFC 7541. */
#ifndef HTTP2_BYTES_H
#define HTTP2_BYTES_H

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

enum {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_RST_STREAM = 3,
    FRAME_SETTINGS = 4,
    FRAME_WINDOW_UPDATE = 8,
};
enum { END_STREAM = 1, END_HEADERS = 4 };
enum { SETTING_INITIAL_WINDOW_SIZE = 4 };

struct bytes {
    unsigned char data[4096];
    size_t length;
};

static inline void put(struct bytes *bytes, const void *data, size_t length)
{
    assert_true(length <= sizeof(bytes->data) - bytes->length);
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

static inline void put_number(struct bytes *bytes, uint32_t number, unsigned size)
{
    while (size-- > 0)
        put(bytes, &(unsigned char){(unsigned char)(number >> (8 * size))}, 1);
}

/* A literal without indexing, no Huffman code: RFC 7541 6.2.2. */
static inline void put_field(struct bytes *bytes, const char *name, const char *value)
{
    put_number(bytes, 0, 1);
    put_number(bytes, (uint32_t)strlen(name), 1);
    put(bytes, name, strlen(name));
    put_number(bytes, (uint32_t)strlen(value), 1);
    put(bytes, value, strlen(value));
}

static inline void put_frame(struct bytes *bytes, unsigned type, unsigned flags, uint32_t stream,
                             const struct bytes *payload)
{
    put_number(bytes, (uint32_t)payload->length, 3);
    put_number(bytes, type, 1);
    put_number(bytes, flags, 1);
    put_number(bytes, stream, 4);
    put(bytes, payload->data, payload->length);
}

/* Fails when the server does not read for long. */
static inline void send_all(int fd, const struct bytes *bytes)
{
    assert_int_equal(send(fd, bytes->data, bytes->length, MSG_NOSIGNAL), bytes->length);
}

/* Read frames until `streams` of them have ended, however they did. */
static inline void read_ends(int fd, size_t streams)
{
    unsigned char head[9], payload[1 << 16];

    while (streams > 0) {
        size_t length;

        assert_int_equal(recv(fd, head, sizeof(head), MSG_WAITALL), sizeof(head));
        length = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        assert_true(length <= sizeof(payload));
        if (length > 0)
            assert_int_equal(recv(fd, payload, length, MSG_WAITALL), length);
        if (head[3] == FRAME_RST_STREAM || (head[3] == FRAME_HEADERS && head[4] & END_STREAM))
            streams--;
    }
}

#endif
