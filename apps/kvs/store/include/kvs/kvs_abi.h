/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest and the key-value store say to each other. Plain C; the store's own structures are
 * not part of it.
 *
 * A guest calls the store with an operation and the address of a struct kvs_request in memory that
 * it has registered. Key, value and request may lie in any of its regions. An operation that has
 * more to copy than KVS_PIECE bytes is done in several calls: KVS_MORE says "call again, with
 * KVS_RESUME", and nothing of it is seen by anybody before the last of them.
 *
 *   int64_t call(op, address of the request)
 *
 * returns a value of 0 or more (see enum kvs_op), KVS_MORE, or a negative enum kvs_error.
 */
#ifndef KVS_ABI_H
#define KVS_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KVS_VERSION     1
#define KVS_EXPORT_NAME "kvs"

#define KVS_MAX_KEY     250u              /* bytes, at least 1; any bytes */
#define KVS_MAX_VALUE   (1u << 20)        /* bytes, may be 0 */
#define KVS_MAX_PORTS   64u               /* of a store: guests' sessions, each with memory of its own */
#define KVS_MAX_REGIONS 8u                /* of a port */
#define KVS_PIECE       (64u << 10)       /* bytes of a value that one call copies */
#define KVS_MAX_TTL_MS  (1ull << 48)

/* An address in registered memory: region number and offset in it. */
typedef uint64_t kvs_addr_t;
#define KVS_ADDR(region, offset) ((0ull + (region)) << 56 | (offset))
#define KVS_ADDR_REGION(addr)    ((addr) >> 56)
#define KVS_ADDR_OFFSET(addr)    ((addr) & ((1ull << 56) - 1))

enum kvs_op {
	KVS_OP_INFO    = 0, /* no request -> KVS_VERSION << 32 | port */
	KVS_OP_GET     = 1, /* key; value_len: room at `value` -> length; out_* */
	KVS_OP_PUT     = 2, /* key, value, flags, ttl_ms -> 0; out_version */
	KVS_OP_ADD     = 3, /* as PUT, but KVS_E_EXISTS if the key is there */
	KVS_OP_REPLACE = 4, /* as PUT, but KVS_E_NOENT if it is not */
	KVS_OP_CAS     = 5, /* as REPLACE, but KVS_E_CHANGED if its version is not `version` */
	KVS_OP_DELETE  = 6, /* key; version: 0 or the one that it must have -> 0 */
	KVS_OP_FLUSH   = 7, /* no request; forgets what is in the namespace -> 0 */
	KVS_OP_STATS   = 8, /* value: room for a struct kvs_stats -> its size */
};
#define KVS_RESUME 0x100u /* with GET and those of PUT's kind: goes on after KVS_MORE */

#define KVS_MORE (1ll << 40)

/* Returned negative. Those up to KVS_E_LAST_MALFORMED say that the guest is wrong. */
enum kvs_error {
	KVS_E_OP       = 1,  /* no such operation */
	KVS_E_STATE    = 2,  /* the port is not open */
	KVS_E_ADDR     = 3,  /* an address is not in a region, or the request is not aligned */
	KVS_E_KEY      = 4,  /* length of the key */
	KVS_E_VALUE    = 5,  /* length of the value */
	KVS_E_TTL      = 6,  /* more than KVS_MAX_TTL_MS */
	KVS_E_RIGHTS   = 7,  /* this port may only read */
	KVS_E_LAST_MALFORMED = KVS_E_RIGHTS,
	KVS_E_NOENT    = 8,  /* the key is not there */
	KVS_E_EXISTS   = 9,
	KVS_E_CHANGED  = 10, /* it has another version */
	KVS_E_ROOM     = 11, /* GET: the value is longer; out_len says how long */
	KVS_E_QUOTA    = 12, /* larger than a quarter of this port's memory */
	KVS_E_BUSY     = 13, /* others were faster too often: try again */
	KVS_E_LOST     = 14, /* nothing of that kind was under way, or it was flushed: begin again */
	KVS_E_WORN     = 15, /* 2^57 bytes went through this port's memory: make a new store */
	KVS_ERRORS     = 16,
};

/* 8-aligned. The store reads it once, at the first call of an operation. */
struct kvs_request {
	kvs_addr_t key;
	kvs_addr_t value;
	uint32_t key_len;   /* bytes */
	uint32_t value_len; /* bytes: of the value, or of the room for it */
	uint32_t flags;     /* kept with the value */
	uint32_t reserved;  /* 0 */
	uint64_t ttl_ms;    /* milliseconds; 0: for ever */
	uint64_t version;   /* CAS, DELETE */
	/* written by the store */
	uint64_t out_version; /* changes with every PUT of a key, and is never the same again */
	uint32_t out_flags;
	uint32_t out_len;
	uint64_t out_ttl_ms;  /* what is left of it; 0: for ever */
};

/* Of one port, since the store was made. In the order of kvs_stat_names[]. */
struct kvs_stats {
	uint64_t gets, hits, misses, expired;
	uint64_t puts, deletes, refused;       /* refused: ADD, REPLACE, CAS, DELETE whose condition failed */
	uint64_t bytes_in, bytes_out;
	uint64_t evicted, evicted_bytes;       /* of this port's memory, which was full */
	uint64_t displaced;                    /* other keys that had to leave the index for one of ours */
	uint64_t moved_bytes;                  /* kept when their place was needed */
	uint64_t helped;                       /* operations of others that this port completed */
	uint64_t retries;
	uint64_t rejected[KVS_ERRORS];         /* by enum kvs_error */
	/* now */
	uint64_t memory_bytes, used_bytes;     /* of this port; used: not free, not all of it alive */
	uint64_t clock_ms;                     /* of the store */
};

#ifdef __cplusplus
}
static_assert(sizeof(kvs_request) == 72, "kvs_request");
static_assert(sizeof(kvs_stats) == 8 * (18 + KVS_ERRORS), "kvs_stats");
#endif

#endif
