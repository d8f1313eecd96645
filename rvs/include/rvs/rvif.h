/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rvif: the format shared by the switch (rvs) and a port's driver. Plain C.
 *
 * A port belongs to one guest. The guest registers its packet memory as regions;
 * everything below lives in them and is written by a guest, so the switch
 * treats it as hostile. What the switch trusts (region bases and lengths, its
 * own cursors) lives in the switch's memory and is not in this file.
 *
 * Sending is a synchronous call into the switch: the driver fills an array of
 * transmit descriptors and calls RVIF_OP_TX; when the call returns the frames
 * are copied (or dropped with a reason) and the driver owns its buffers again.
 *
 * Receiving: every tx queue of every port is a *source*. An rx queue has one
 * *lane* per source, so that a lane has one writer:
 *
 *      posted[depth]   written by the receiver: empty buffers
 *      comp[depth]     written by the source's call: filled buffers
 *
 * Both are walked in order, each side with a cursor of its own; an entry is
 * valid when its phase bit equals the walker's, which starts at 1 and flips at
 * every wrap. There are no head and tail lines. Entry i of comp fills the
 * buffer of entry i of posted.
 */
#ifndef RVIF_H
#define RVIF_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RVIF_VERSION      1
#define RVIF_EXPORT_NAME  "rvs" /* default name of the switch's export */

#define RVIF_MAX_PORTS    64
#define RVIF_MAX_SOURCES  64
#define RVIF_MAX_REGIONS  8    /* of one port */
#define RVIF_MAX_QUEUES   8    /* of one port, each way */
#define RVIF_MAX_BURST    256  /* descriptors of one RVIF_OP_TX */
#define RVIF_MIN_DEPTH    64   /* lane depth: power of two */
#define RVIF_MAX_DEPTH    4096
#define RVIF_MAX_FRAME    65535
#define RVIF_LINE         128  /* alignment of what two CPUs write */

/* An address in a port's regions: region in the top byte, offset below. */
typedef uint64_t rvif_addr_t;
#define RVIF_ADDR(region, offset) \
	(((region) * 0x0100000000000000ull) | ((offset) & 0x00ffffffffffffffull))
#define RVIF_ADDR_REGION(a) ((a) >> 56)
#define RVIF_ADDR_OFFSET(a) ((a) & 0x00ffffffffffffffull)

/* Transmit descriptor. A frame is a chain of them, all but the last with MORE. */
struct rvif_tx_desc {
	rvif_addr_t addr;
	uint32_t len;   /* bytes of this segment, 1..RVIF_MAX_FRAME */
	uint32_t flags; /* RVIF_TX_* */
};
#define RVIF_TX_MORE 1u /* the next descriptor continues this frame */

/* posted: phase bit 31; bits 0..30 offset of the buffer in the rx queue's
 * region, in units of RVIF_BUF_UNIT bytes. */
#define RVIF_PHASE        0x80000000u
#define RVIF_BUF_UNIT     64u
#define RVIF_POSTED_MASK  0x7fffffffu

/* comp: phase bit 31; bit 30 the frame continues in the next entry; bits 0..15
 * bytes in this buffer. Bits 16..29 are zero. */
#define RVIF_COMP_MORE     0x40000000u
#define RVIF_COMP_LEN_MASK 0x0000ffffu

/* Bytes from posted[0] to comp[0] of a lane, and from one lane to the next. */
#define RVIF_LANE_HALF(depth)   (((depth) * 4ull + (RVIF_LINE - 1)) & ~(RVIF_LINE - 1ull))
#define RVIF_LANE_STRIDE(depth) (2 * RVIF_LANE_HALF(depth))

/* Read once by RVIF_OP_TX_SETUP. */
struct rvif_tx_setup {
	rvif_addr_t descs; /* struct rvif_tx_desc[RVIF_MAX_BURST], 16-aligned */
};

/* Read once by RVIF_OP_RX_SETUP. */
struct rvif_rx_setup {
	rvif_addr_t lanes;   /* RVIF_MAX_SOURCES lanes, RVIF_LINE-aligned */
	uint32_t depth;      /* of each lane */
	uint32_t buf_len;    /* bytes that fit in each posted buffer */
	uint32_t buf_region; /* region that the posted buffers are in */
	uint32_t reserved;   /* 0 */
};

/* Read-out of RVIF_OP_STATS, written by the switch to the caller's region. */
struct rvif_port_stats {
	uint64_t rx_frames; /* delivered to this port */
	uint64_t rx_bytes;
	uint64_t tx_frames; /* accepted from this port, delivered or not */
	uint64_t tx_bytes;
	uint64_t crossings; /* calls of this port */
	uint64_t drops[32]; /* indexed by enum rvif_drop */
};

/*
 * Why a frame was dropped, or a call or descriptor rejected. Each is counted at
 * the port named on the right. Names for people: rvif_drop_name().
 */
enum rvif_drop {
	RVIF_DROP_NO_BUFFER = 0,    /* receiver: no buffer posted in the lane */
	RVIF_DROP_NOT_READY,        /* receiver: rx queue not set up, port stopped */
	RVIF_DROP_RX_TOO_BIG,       /* receiver: frame needs more than the lane has */
	RVIF_DROP_RX_BAD_BUFFER,    /* receiver: posted buffer outside its region */
	RVIF_DROP_NO_DESTINATION,   /* sender: nobody to flood to */
	RVIF_DROP_SAME_PORT,        /* sender: destination is the sender itself */
	RVIF_DROP_BAD_SOURCE_MAC,   /* sender: source is a group address or zero */
	RVIF_DROP_SHORT,            /* sender: less than an Ethernet header */
	RVIF_DROP_TX_TOO_BIG,       /* sender: more than RVIF_MAX_FRAME */
	RVIF_DROP_BAD_REGION,       /* sender: region index not registered */
	RVIF_DROP_BAD_RANGE,        /* sender: offset + length outside the region */
	RVIF_DROP_ZERO_LENGTH,      /* sender: segment of 0 bytes */
	RVIF_DROP_BAD_FLAGS,        /* sender: unknown flag */
	RVIF_DROP_BAD_CHAIN,        /* sender: MORE on the last descriptor */
	RVIF_DROP_REASONS
};

/*
 * Calls. The port is the attachment's, the caller cannot choose it; a0 is the
 * operation, a1..a3 its arguments. Result: >= 0, or a negative rvif_error.
 */
enum rvif_op {
	RVIF_OP_INFO = 0, /* -> RVIF_VERSION << 32 | port */
	RVIF_OP_TX_SETUP, /* a1 tx queue, a2 address of rvif_tx_setup -> source */
	RVIF_OP_RX_SETUP, /* a1 rx queue, a2 address of rvif_rx_setup -> 0 */
	RVIF_OP_START,    /* -> 0; set-up queues go live */
	RVIF_OP_STOP,     /* -> 0; queues must be set up again before a START */
	RVIF_OP_TX,       /* a1 tx queue, a2 number of descriptors -> descriptors consumed */
	RVIF_OP_SOURCES,  /* -> bitmap of live sources of other ports (link up: not 0) */
	RVIF_OP_SET_MAC,  /* a1 the MAC, first byte in bits 0..7 -> 0 */
	RVIF_OP_STATS,    /* a1 address for rvif_port_stats -> 0 */
	RVIF_OPS
};

enum rvif_error {
	RVIF_E_OP = 1,    /* no such operation */
	RVIF_E_QUEUE,     /* queue number out of range, or queue not set up */
	RVIF_E_ADDR,      /* address or range not in a registered region, misaligned */
	RVIF_E_ARG,       /* depth, buf_len, count, ... out of range */
	RVIF_E_STATE,     /* port closed, started, stopped */
	RVIF_E_FULL,      /* no source left */
	RVIF_E_BUSY       /* another vCPU is inside this queue */
};

#ifdef __cplusplus
}
static_assert(sizeof(rvif_tx_desc) == 16, "rvif_tx_desc");
static_assert(sizeof(rvif_tx_setup) == 8, "rvif_tx_setup");
static_assert(sizeof(rvif_rx_setup) == 24, "rvif_rx_setup");
static_assert(sizeof(rvif_port_stats) == 296, "rvif_port_stats");
#endif

#endif /* RVIF_H */
