// SPDX-License-Identifier: Apache-2.0
//
// rvs: an L2 learning switch that runs on the sender's CPU.
//
// One Switch object lies in memory that several parties map: the manager, at any
// address, and every sub context (or direct-backend process), at another. It holds
// no pointers into itself, so each party uses it through its own mapping. The only
// addresses in it are region bases, which are valid where call() runs.
//
// Two sides use it:
//   manager   opens ports, registers memory, reads counters. One manager thread at
//             a time; it may run while guests call. It may die at any instruction
//             and be replaced: see open().
//   guest     call(), from many CPUs at once. Ports share no lock. A caller that
//             stops for ever, at any instruction, stops no other port; what it held
//             comes back with port_close().
//
// No function allocates, throws, blocks or makes a system call.
#ifndef RVS_SWITCH_HPP
#define RVS_SWITCH_HPP

#include "rvs/rvif.h"

#include <cstddef>
#include <cstdint>

namespace rvs {

// 0 .. RVIF_MAX_PORTS - 1.
enum class PortId : std::uint32_t {};

// What the manager side answers. The values are those of enum rvif_error.
enum class Error : std::int32_t {
    none = 0,
    arg = RVIF_E_ARG,     // a port number, region index, address or length out of range
    state = RVIF_E_STATE, // the port is open already, is closed, the region is in use
    full = RVIF_E_FULL,   // no room in the MAC table for a static entry
};

struct Limits {
    // Learned and static MACs; rounded up to a power of two, at least
    // 16384. One port can fill at most half of each 8-entry bucket.
    std::uint32_t fdb_entries = 16384;
    // A learned MAC that sent nothing for this many tick()s is forgotten, 1..200.
    std::uint32_t fdb_age_ticks = 120;
    // Of the time-stamp counter as callers read it, per second; 0: unknown, then no rate can be
    // limited.
    std::uint64_t clock_hz = 0;
    // A call that began so many milliseconds ago is over, whatever became of it: something outside
    // sees to that (elisa.ko). 0: it may go on at any time (direct backend). Wants clock_hz.
    std::uint32_t call_ms = 0;
};

inline constexpr std::size_t label_size = 32;

inline constexpr std::size_t max_port_macs = 8;
inline constexpr PortId no_port{~std::uint32_t{0}};

struct PortOptions {
    // For people; NUL-terminated, copied. May be null.
    const char *label = nullptr;
    // First byte in bits 0..7. Not 0: the MAC belongs to this port for as long as it is
    // open; frames with it as source are dropped at every other port.
    std::uint64_t mac = 0;
    // Transmit queues that the port may set up, 1..RVIF_MAX_QUEUES.
    std::uint32_t max_tx_queues = RVIF_MAX_QUEUES;
    // The manager's own number for it; PortInfo shows it to a manager that takes over.
    std::uint64_t cookie = 0;

    // VLANs. native: of frames without a tag, both ways; 0: none. trunk: those that the port sends
    // and receives with a tag. With neither the port knows no VLANs: tags are payload, and it
    // shares VLAN 0 with all such ports.
    std::uint32_t native_vlan = 0;
    const std::uint16_t *trunk = nullptr;
    std::size_t trunk_count = 0;

    // Isolated ports reach only ports that are not.
    bool isolated = false;
    // Anti-spoofing: frames with another source than mac and these are dropped.
    bool own_macs_only = false;
    std::uint64_t macs[max_port_macs] = {}; // 0: none
    // MACs that it may be seen with at a time, 0: any number. Frames with one more are dropped.
    std::uint32_t mac_limit = 0;
    // Bytes a second that it may send, and how many at once; 0: any number.
    std::uint64_t rate_bytes = 0;
    std::uint64_t rate_burst = 0;
    // Frames a second of it that are flooded, 0: any number. As many at once. One that is to be cut
    // into TCP segments is as many as it becomes.
    std::uint64_t storm_frames = 0;
    // All that it sends and is sent is also delivered there.
    PortId mirror_to = no_port;
    // It receives copies and nothing else, and may not send.
    bool capture = false;
};

struct PortInfo {
    PortId id;
    char label[label_size];
    std::uint64_t mac; // given by the manager or announced by RVIF_OP_SET_MAC, or 0
    std::uint64_t cookie;
    bool started;
    bool link;               // not held down by the manager
    std::uint32_t rx_queues; // live ones
    std::uint32_t tx_queues; // that have a source
    std::uint32_t regions;   // bitmap of registered regions
};

// rvif_port_stats, and what only the manager has use for.
//
// Every frame offered is in exactly one of
//     frames.tx_frames     well formed; what became of it is counted below
//     frames.drops[r]      r from BAD_SOURCE_MAC on
// and every well-formed frame in drops[NO_DESTINATION .. STORM], or in copies, once for each
// receiver. A frame that is cut into TCP segments counts as one until then; what is delivered and
// what is dropped at the receiver, as so many: cuts is what this adds. Over all ports,
//     copies + cuts = rx_frames + drops[NO_BUFFER] + drops[NOT_READY] + drops[RX_TOO_BIG]
//              + drops[RX_BAD_BUFFER].
struct PortStats {
    rvif_port_stats frames;
    std::uint64_t copies;  // deliveries tried on behalf of this port's frames
    std::uint64_t flooded; // frames sent to every other port
    std::uint64_t cuts;
    // Of one RVIF_OP_TX in 16, by each transmit queue's own count: frames that were well formed,
    // and what the time-stamp counter went on by, whatever the CPU did meanwhile.
    std::uint64_t timed_frames;
    std::uint64_t timed_cycles;
    // Transmit queues that a call is in, or was in when it was cut short or killed. Of its frames
    // some may be delivered, and what it counts at its end is not counted.
    std::uint64_t inside;
};

struct FdbEntry {
    std::uint64_t mac;  // first byte in bits 0..7
    std::uint32_t vlan; // 0: of ports that know none
    PortId port;
    bool is_static;
    std::uint32_t age; // tick()s since it was seen; 0 for static entries
};

class Switch {
  public:
    Switch(const Switch &) = delete;
    Switch &operator=(const Switch &) = delete;

    // ---- where it lives

    // Bytes that create() needs.
    [[nodiscard]] static std::size_t footprint(const Limits &limits);

    // Lays a new switch out in mem (4096-aligned, at least footprint(limits) bytes).
    // Null: mem is null or misaligned, len too small, a limit out of range.
    [[nodiscard]] static Switch *create(void *mem, std::size_t len, const Limits &limits);

    // The switch that create() left in mem: in another mapping, or for a manager that takes
    // over. Null: no switch of this version there, or len is too small for it.
    [[nodiscard]] static Switch *open(void *mem, std::size_t len);

    // ---- manager

    // Opens a closed port with all counters at 0. before, unless it is null: what they were; calls
    // that were under way when it was closed may have counted since. Error: arg, state (is open),
    // full.
    [[nodiscard]] Error port_open(PortId port, const PortOptions &options,
                                  PortStats *before = nullptr);

    // Closes a port and takes back all it held: regions, sources, lanes, MACs, busy flags.
    // No call() of this port may run or come any more (its VM was detached, its process has
    // ended). Other ports' calls that are under way may still touch its regions: see Grace.
    // Error: arg, state (is closed).
    Error port_close(PortId port);

    // Holds a port down: nothing is sent from it or to it, and its driver sees the link go. Error:
    // arg, state (closed).
    Error port_link(PortId port, bool up);

    // Gives an open port another policy while it and others send: VLANs, isolation, addresses,
    // limits, mirror_to. What stays as it was is not touched, no frame is lost for it; a call that
    // is under way may still follow the old. What had been learned at the port is forgotten if
    // its VLANs change. label, mac, max_tx_queues, cookie and capture are port_open()'s and are
    // not looked at. Error: arg, state (closed).
    [[nodiscard]] Error port_policy(PortId port, const PortOptions &options);

    // Copies of all that port sends and is sent go to `to`, beside mirror_to, or do so no more.
    // Error: arg, state (closed).
    [[nodiscard]] Error port_tap(PortId port, PortId to, bool on);

    // A MAC that belongs to an open port until it is closed or mac_remove() is called; vlan 0: of
    // ports that know none. Error: arg, state (closed; another port's own), full.
    [[nodiscard]] Error mac_add(PortId port, std::uint64_t mac, std::uint32_t vlan);
    // Forgets one address, static or learned. Error: arg; state (it is not in the table, or is the
    // port's own `mac`).
    Error mac_remove(std::uint64_t mac, std::uint32_t vlan);
    // Forgets what was learned at a port, or at all (no_port); not what drivers said. Error: arg.
    Error mac_flush(PortId port);

    // Registers guest memory: len bytes at base, both multiples of 4096, len < 2^40. May run
    // while the port and others call. Error: arg, state (closed port, index in use).
    [[nodiscard]] Error region_add(PortId port, std::uint32_t index, std::uint64_t base,
                                   std::uint64_t len);

    // Takes a region back. Receive queues that use it die. A call() that is under way when
    // this returns may still touch the region; no later one will.
    // Error: arg, state (closed port, no such region).
    Error region_remove(PortId port, std::uint32_t index);

    // Call once a second or so: time for the MAC table. Forgets what has aged.
    void tick();

    // To learn when memory that region_remove() or port_close() took back is out of use, where
    // nothing else (elisa.ko) waits for that: after it, grace_begin(), then poll grace_over()
    // until it is true. A caller that has stopped inside the switch keeps it false until
    // its port is closed, or for Limits::call_ms.
    struct Grace {
        std::uint64_t begun;                   // time-stamp counter
        std::uint64_t owner[RVIF_MAX_SOURCES]; // 0: was not inside
        std::uint64_t calls[RVIF_MAX_SOURCES];
    };
    void grace_begin(Grace &grace) const;
    [[nodiscard]] bool grace_over(const Grace &grace) const;

    // ---- read-out, any number of threads

    // False: the port is closed.
    bool port_info(PortId port, PortInfo &info) const;
    // Of a closed port: since it was opened last. False: there is none of that number.
    bool port_stats(PortId port, PortStats &stats) const;
    // The same of what was sent from one of its tx queues.
    bool queue_stats(PortId port, std::uint32_t tx_queue, PortStats &stats) const;

    // Bitmap of open ports.
    [[nodiscard]] std::uint64_t ports() const;

    // The port whose transmit queue this source is now, or no_port.
    [[nodiscard]] PortId source_port(std::uint32_t source) const;

    // Bytes of it in its memory.
    [[nodiscard]] std::size_t size() const;

    // Writes up to max (at least 1) entries from cursor on, moves it and returns how many;
    // 0 at the end. Start with cursor = 0.
    std::size_t fdb_read(std::size_t &cursor, FdbEntry *out, std::size_t max) const;

    // ---- guest

    // An operation of rvif.h for port self, which the caller must not be able to choose.
    // Returns what rvif.h says for op, or a negative rvif_error. Bounded: at most
    // RVIF_MAX_BURST descriptors, and a few MiB copied (RVIF_OP_TX then consumes fewer than
    // it was given, but at least one frame).
    //
    // cpu: which of the port's CPUs this is, which the caller cannot choose either. One that calls
    // again although its last call did not return had that one cut short; what it held is its own.
    // any_cpu: unknown; then only port_close() helps.
    std::int64_t call(PortId self, std::uint64_t op, std::uint64_t a1, std::uint64_t a2,
                      std::uint64_t a3, std::uint32_t cpu = any_cpu);
    static constexpr std::uint32_t any_cpu = ~std::uint32_t{0};

  protected:
    Switch() = default;
    ~Switch() = default;
};

} // namespace rvs

#endif // RVS_SWITCH_HPP
