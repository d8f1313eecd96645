// SPDX-License-Identifier: Apache-2.0
// What the model of the claims (claim_model.hpp) has: steps, and who is where.
#pragma once

#include <cstdint>

namespace claims {

enum class Defect : std::uint8_t {
    none,
    looks_then_claims,    // take(): a load and a store
    any_cpu_again,        // take(): whoever holds it, it is ours
    released_then_counts, // transmit(): busy before calls
    counts_plainly,       // after_cut(): calls by a plain store
    looks_before_claim,   // transmit(): at the receiver's queue
    grace_before_kill,    // stop(): grace_begin() first
    kills_plainly,        // RxQueue::kill(): a plain store
    no_grace,             // stop(): whoever is inside
    own_stop_unclaimed,   // stop(): gives sources away of queues that somebody is in
    frees_owner_first,    // release_source(): while the queue still has the source
    cut_work_unchecked,   // after_cut(): goes on whatever became of the receiver's queue
    cut_work_anywhere,    // after_cut(): in whatever that queue is by now
    closed_while_running, // port_close(): before the process has ended
};

enum Step : std::uint8_t {
    idle,
    early_look, // Defect::looks_before_claim
    take,
    // after_cut()
    cut_look,
    cut_show,
    cut_count,
    // transmit()
    find_source,
    look,
    fields,
    look_again,
    copy,
    show,
    count,
    // stop(), of its own queues
    drop_source,
    drop_owner,
    late_drop, // Defect::frees_owner_first
    // tx_setup()
    claim_source,
    note_source,
    release,
    // nothing is held any more
    sweep,      // stop() again: a source that no queue knows of
    late_count, // Defect::released_then_counts
};

enum Operation : std::uint8_t { tx, recover, stop, setup };

enum Receiving : std::uint8_t {
    running,
    killing, // the word has moved, the bit is there
    grace_owner,
    grace_busy,
    grace_calls,
    over_owner,
    over_busy,
    over_calls,
    given_back,
    set_up,
    ended,
};

enum Place : std::uint8_t { at_memory, at_pos, at_calls, at_busy };

struct Store {
    std::uint8_t place = 0;
    std::uint8_t value = 0;
};
constexpr std::uint8_t buffer_len = 4; // memory, pos, calls, busy: then a locked one comes

struct Cpu {
    std::uint8_t step = idle;
    std::uint8_t operation = tx;
    std::uint8_t left = 0;       // operations that it still does
    std::uint8_t generation = 0; // the receiver's, as this call saw it
    std::uint8_t memory = 0;     // the receiver's, as this call knows it
    std::uint8_t old = 0;        // Defect::looks_then_claims
    std::uint8_t before = 0;     // this call began before the grace did
    std::uint8_t stores = 0;
    Store buffer[buffer_len];
};

constexpr int cpus = 3;
constexpr int ports = 2;
constexpr std::uint8_t no_owner = 0;

constexpr int port_of(int cpu)
{
    return cpu == 2 ? 1 : 0;
}

struct State {
    Cpu cpu[cpus];
    // a queue each
    std::uint8_t busy[ports] = {};
    std::uint8_t calls[ports] = {};
    std::uint8_t source[ports] = {1, 0};
    // the source: 1 + port, and how often it was claimed
    std::uint8_t owner = 1;
    std::uint8_t owner_generation = 1;
    // the receiver's queue: RxQueue::state, and which memory it tells of
    std::uint8_t live = 1;
    std::uint8_t generation = 1;
    std::uint8_t memory = 0;
    std::uint8_t live_is_stale = 0; // Defect::kills_plainly
    // the lane
    std::uint8_t seen = 0; // generation
    std::uint8_t lane_memory = 0;
    std::uint8_t pos = 0;
    std::uint8_t shown = 0; // what pos is when all stores have arrived
    // the receiver
    std::uint8_t receiving = running;
    std::uint8_t round = 0;
    std::uint8_t known_owner = 0;
    std::uint8_t known_generation = 0;
    std::uint8_t known_calls = 0;
    std::uint8_t gone = 0; // bitmap of memory that was given back
    // the first port's process, and what befell it
    std::uint8_t killed = 0;
    std::uint8_t closing = 0;
    std::uint8_t cuts = 0;
};

} // namespace claims
