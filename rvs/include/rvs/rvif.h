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
 *      meta[depth]     likewise, what does not fit into comp
 *
 * They are walked in order, each side with a cursor of its own; an entry is
 * valid when its phase bit equals the walker's, which starts at 1 and flips at
 * every wrap. There are no head and tail lines. Entry i of comp (and meta) fills
 * the buffer of entry i of posted. meta has no phase: it is there when comp is.
 *
 * All fields are little endian.
 */
#ifndef RVIF_H
#define RVIF_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RVIF_VERSION      2
#define RVIF_EXPORT_NAME  "rvs" /* default name of the switch's export */

#define RVIF_MAX_PORTS    64
#define RVIF_MAX_SOURCES  128  /* live transmit queues, all ports together */
#define RVIF_MAX_REGIONS  8    /* of one port */
#define RVIF_MAX_QUEUES   8    /* of one port, each way */
#define RVIF_MAX_BURST    256  /* descriptors of one RVIF_OP_TX */
#define RVIF_MIN_DEPTH    64   /* lane depth: power of two */
#define RVIF_MAX_DEPTH    4096
#define RVIF_MAX_FRAME    65535
#define RVIF_LINE         128  /* alignment of what two CPUs write */
#define RVIF_RETA_SIZE    128  /* power of two */

/* An address in a port's regions: region in the top byte, offset below. */
typedef uint64_t rvif_addr_t;
#define RVIF_ADDR(region, offset) \
	(((region) * 0x0100000000000000ull) | ((offset) & 0x00ffffffffffffffull))
#define RVIF_ADDR_REGION(a) ((a) >> 56)
#define RVIF_ADDR_OFFSET(a) ((a) & 0x00ffffffffffffffull)

/* ------------------------------------------------------------------ transmit */

/*
 * A frame is a chain of descriptors, all but the last with MORE. What is asked
 * for the frame stands in its first one; in the others nothing but MORE is set.
 *
 * A request is about the outermost headers (no tunnels). The switch finds them
 * itself; a frame that does not have what is asked for is dropped as
 * RVIF_DROP_BAD_OFFLOAD. What the checksum fields hold before does not matter.
 */
struct rvif_tx_desc {
	rvif_addr_t addr;
	uint16_t len;   /* bytes of this segment, not 0 */
	uint16_t flags; /* RVIF_TX_* */
	uint16_t vlan;  /* VLAN: the tag's TCI */
	uint16_t segsz; /* TSO: payload bytes of each TCP segment */
};
#define RVIF_TX_MORE    0x0001u /* the next descriptor continues this frame */
#define RVIF_TX_VLAN    0x0002u /* tag the frame */
#define RVIF_TX_IP_CSUM 0x0004u /* compute the IPv4 header's checksum */
#define RVIF_TX_L4_CSUM 0x0008u /* compute the TCP or UDP checksum, or let the receiver know
				 * that it is not computed */
#define RVIF_TX_TSO     0x0010u /* cut into TCP segments, unless the receiver takes it whole;
				 * implies the other two */
#define RVIF_TX_FLAGS   0x001fu
#define RVIF_MIN_SEGSZ  88u     /* of TSO: what Linux takes for its least MSS */

/* ------------------------------------------------------------------- receive */

/* posted: phase bit 31; bits 0..30 offset of the buffer in the rx queue's
 * region, in units of RVIF_BUF_UNIT bytes. */
#define RVIF_PHASE        0x80000000u
#define RVIF_BUF_UNIT     64u
#define RVIF_POSTED_MASK  0x7fffffffu

/*
 * comp, 64 bits:
 *    0..15  bytes in this buffer
 *   16..30  RVIF_COMP_*; of a frame in several buffers the first entry has them all,
 *           the others MORE alone
 *   31      phase
 *   32..63  the frame's hash (HASH)
 * Bits without a name are zero.
 */
#define RVIF_COMP_LEN_MASK 0x0000ffffu
#define RVIF_COMP_MORE     0x00010000u /* the frame continues in the next entry */
#define RVIF_COMP_HASH     0x00020000u
#define RVIF_COMP_VLAN     0x00040000u /* the tag was taken out; its TCI is in meta */
#define RVIF_COMP_L4_NONE  0x00080000u /* the TCP or UDP checksum is not computed; the data has
					* not been on any wire */
#define RVIF_COMP_TSO      0x00100000u /* to be cut into TCP segments of meta's size if it
					* leaves this host; implies L4_NONE */
#define RVIF_COMP_FLAGS    0x001f0000u

/* meta, 32 bits: bits 0..15 TCI, 16..31 segment size */

/* Bytes from posted[0] to comp[0] and meta[0] of a lane, and from one lane to the next: lanes do
 * not all begin at the same cache set. */
#define RVIF_LANE_COMP(depth)   ((depth) * 4ull)
#define RVIF_LANE_META(depth)   ((depth) * 12ull)
#define RVIF_LANE_STRIDE(depth) ((depth) * 16ull + RVIF_LINE)

/* -------------------------------------------------------------------- set-up */

/* Read once by RVIF_OP_TX_SETUP. */
struct rvif_tx_setup {
	rvif_addr_t descs; /* struct rvif_tx_desc[RVIF_MAX_BURST], 16-aligned */
	uint32_t flags;    /* RVIF_TXQ_* */
	uint32_t reserved; /* 0 */
};
#define RVIF_TXQ_AVX2  0x1u /* the CPU and the kernel of the caller have AVX2: a lie is an
			     * invalid opcode in the caller's own call */
#define RVIF_TXQ_FLAGS 0x1u

/* Read once by RVIF_OP_RX_SETUP. */
struct rvif_rx_setup {
	rvif_addr_t lanes;   /* RVIF_MAX_SOURCES lanes, RVIF_LINE-aligned */
	uint32_t depth;      /* of each lane */
	uint32_t buf_len;    /* bytes that fit in each posted buffer */
	uint32_t buf_region; /* region that the posted buffers are in */
	uint32_t flags;      /* RVIF_RXQ_*: what the receiver understands */
};
#define RVIF_RXQ_HASH    0x1u /* wants RVIF_COMP_HASH */
#define RVIF_RXQ_VLAN    0x2u /* wants RVIF_COMP_VLAN rather than a tag in the frame */
#define RVIF_RXQ_L4_NONE 0x4u /* takes RVIF_COMP_L4_NONE; otherwise the switch computes it */
#define RVIF_RXQ_TSO     0x8u /* takes RVIF_COMP_TSO; otherwise the switch cuts. With L4_NONE */
#define RVIF_RXQ_FLAGS   0xfu

/* Read once by RVIF_OP_RSS: how frames are spread over the port's rx queues. */
struct rvif_rss {
	uint32_t types;    /* RVIF_RSS_* that the hash covers; 0: do not spread */
	uint32_t reserved; /* 0 */
	uint8_t queue[RVIF_RETA_SIZE]; /* by the low bits of the hash */
};
#define RVIF_RSS_IP    0x1u /* IPv4 and IPv6 addresses */
#define RVIF_RSS_TCP   0x2u /* and the ports of TCP */
#define RVIF_RSS_UDP   0x4u /* and the ports of UDP */
#define RVIF_RSS_L2    0x8u /* MAC addresses and EtherType, of frames that are not IP */
#define RVIF_RSS_TYPES 0xfu

/* Written by RVIF_OP_SOURCES. */
struct rvif_sources {
	uint64_t live[RVIF_MAX_SOURCES / 64]; /* bitmap: started sources of other ports */
	uint32_t link;                        /* 0: the manager holds the port down */
	uint32_t reserved;
};

/* What a port wants besides its own unicast and broadcast, for RVIF_OP_RX_MODE. A port that has
 * not said anything wants both. */
#define RVIF_RX_MODE_PROMISC  0x1u /* unicast that nobody is known to own, and all multicast */
#define RVIF_RX_MODE_ALLMULTI 0x2u /* all multicast */
#define RVIF_RX_MODES         0x3u

/* Read-out of RVIF_OP_STATS and RVIF_OP_QUEUE_STATS, written by the switch to the caller's region.
 * Of a queue: what came of the frames sent from it; rx_* and the receiver's reasons are 0. */
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
	/* well formed, and yet not delivered to anybody */
	RVIF_DROP_NO_DESTINATION,   /* sender: nobody to flood to */
	RVIF_DROP_SAME_PORT,        /* sender: destination is the sender itself */
	RVIF_DROP_ISOLATED,         /* sender: destination and it are isolated ports */
	RVIF_DROP_VLAN_EGRESS,      /* sender: destination is not in the frame's VLAN */
	RVIF_DROP_STORM,            /* sender: more flooding than it may cause */
	RVIF_DROP_INTERRUPTED,      /* sender: copies of a call that was cut short while it
				     * published to one receiver after the other */
	/* not accepted */
	RVIF_DROP_BAD_SOURCE_MAC,   /* sender: source is a group address, zero, or another's */
	RVIF_DROP_SPOOFED,          /* sender: source is none of its own addresses */
	RVIF_DROP_MAC_LIMIT,        /* sender: it has shown more addresses than it may */
	RVIF_DROP_VLAN_INGRESS,     /* sender: VLAN that it is not in */
	RVIF_DROP_RATE,             /* sender: faster than it may */
	RVIF_DROP_LINK_DOWN,        /* sender: the manager holds the port down */
	RVIF_DROP_SHORT,            /* sender: less than an Ethernet header */
	RVIF_DROP_TX_TOO_BIG,       /* sender: more than RVIF_MAX_FRAME */
	RVIF_DROP_BAD_REGION,       /* sender: region index not registered */
	RVIF_DROP_BAD_RANGE,        /* sender: offset + length outside the region */
	RVIF_DROP_ZERO_LENGTH,      /* sender: segment of 0 bytes */
	RVIF_DROP_BAD_FLAGS,        /* sender: unknown flag, or one where it does not belong */
	RVIF_DROP_BAD_CHAIN,        /* sender: MORE on the last descriptor */
	RVIF_DROP_BAD_OFFLOAD,      /* sender: a request that the frame does not fit */
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
	RVIF_OP_TX,       /* a1 tx queue, a2 number of descriptors, a3 a number of the caller's
			   * own, another for each call -> descriptors consumed */
	RVIF_OP_SOURCES,  /* a1 address for rvif_sources -> 0 */
	RVIF_OP_SET_MAC,  /* a1 the MAC, first byte in bits 0..7 -> 0 */
	RVIF_OP_STATS,    /* a1 address for rvif_port_stats -> 0 */
	RVIF_OP_RX_MODE,  /* a1 RVIF_RX_MODE_* -> 0 */
	RVIF_OP_RSS,      /* a1 address of rvif_rss -> 0 */
	/* After an RVIF_OP_TX that did not return (the crossing was cut short): a1 tx queue, a2 its
	 * a3 -> descriptors that it consumed; the others are as if it had not been made. From the
	 * same vCPU, any number of times. */
	RVIF_OP_RECOVER,
	RVIF_OP_QUEUE_STATS, /* a1 address for rvif_port_stats, a2 tx queue -> 0 */
	RVIF_OP_MAC,         /* -> the MAC that the manager gave the port, or 0: its driver's choice */
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
static_assert(sizeof(rvif_tx_setup) == 16, "rvif_tx_setup");
static_assert(sizeof(rvif_rx_setup) == 24, "rvif_rx_setup");
static_assert(sizeof(rvif_rss) == 136, "rvif_rss");
static_assert(sizeof(rvif_sources) == 24, "rvif_sources");
static_assert(sizeof(rvif_port_stats) == 296, "rvif_port_stats");
#endif

#endif /* RVIF_H */
