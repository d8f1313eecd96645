// SPDX-License-Identifier: Apache-2.0
// The lane protocol as a model, explored exhaustively: a sender that publishes batches of whole
// frames and may be killed between any two stores, its heir that recovers the lane, a receiver that
// looks at any moment. Small lanes, so that all wraps are met; every state is visited once.
//
// The model follows rvs/src/lanes.hpp step by step (one step: one store or load of shared memory);
// what the code itself does between two instructions is the concern of RvsStepped.
//
// Each step is seen by everybody at once, which is no simplification on x86 (TSO): stores of a CPU
// become visible in its order, only later, and here only the receiver looks at them, which is the
// same as a sender that is a few steps behind; the sender never asks something of the receiver that
// depends on its own stores having arrived, and the heir begins after the one before it has left
// its CPU. Where that is not so, claim_model_test.cpp has the store buffers.
#include "explore.hpp"

#include <cstdint>
#include <cstdio>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace {

constexpr int depth = 4;   // entries of the lane
constexpr int batch = 3;   // most that are held back
constexpr int frames = 40; // that are sent in all

// An entry of comp: phase and, to see what was delivered, the frame's number and whether it goes
// on.
struct Entry {
    std::uint8_t phase = 0;
    std::uint8_t frame = 0;
    std::uint8_t more = 0;
};

enum class Defect { none, first_entry_first, no_recovery, keeps_leftovers };

struct State {
    Entry comp[depth];
    // sender's, trusted
    std::uint8_t pos = 0;        // next entry to publish, modulo 2 * depth
    std::uint8_t next = 1;       // number of the next frame
    std::uint8_t held = 0;       // entries of the batch
    std::uint8_t left = 0;       // of them, not stored yet
    std::uint8_t first = 0;      // the batch's first frame
    std::uint8_t recovering = 0; // heir: 0 no, 1 counting, 2 clearing
    std::uint8_t at = 0;
    std::uint8_t count = 0;
    std::uint8_t killed = 0;
    // receiver
    std::uint8_t taken = 0;   // modulo 2 * depth
    std::uint8_t seen = 0;    // number of the last whole frame
    std::uint8_t partial = 0; // entries of a frame whose end has not come
};

std::uint8_t phase_of(int at)
{
    return (at / depth) % 2 == 0 ? 1 : 0;
}

// Frames of one and of two entries by turns: a batch of three is frames 2 and 3, or so.
int entries_of(int frame)
{
    return frame % 2 == 0 ? 2 : 1;
}

class LaneModel {
  public:
    using State = ::State;

    explicit LaneModel(Defect defect) : defect_{defect} {}
    static State first() { return {}; }

    std::string successors(const State &s, std::vector<State> &out)
    {
        wrong_.clear();
        receiver(s, out);
        if (s.recovering != 0)
            heir(s, out);
        else
            sender(s, out);
        // Killed at any step, twice at most; the heir begins with what is in memory.
        if (s.killed < 2 && s.next <= frames) {
            State k = s;
            ++k.killed;
            k.left = k.held = 0;
            k.next = static_cast<std::uint8_t>(s.held != 0 ? s.first + frames_in(s) : s.next);
            k.recovering = defect_ == Defect::no_recovery ? 0 : 1;
            k.at = k.count = 0;
            out.push_back(k);
        }
        return wrong_;
    }

  private:
    static int room(const State &s)
    {
        return depth - ((s.pos - s.taken + 2 * depth) % (2 * depth));
    }

    static int frames_in(const State &s)
    {
        int n = 0;
        for (int left = s.held, f = s.first; left > 0; ++f, ++n)
            left -= entries_of(f);
        return n;
    }

    void sender(const State &s, std::vector<State> &out)
    {
        State n = s;
        if (s.held == 0) {
            if (s.next > frames)
                return;
            // A batch of as many whole frames as fit.
            int entries = 0;
            int f = s.next;
            while (f <= frames && entries + entries_of(f) <= batch &&
                   entries + entries_of(f) <= room(s))
                entries += entries_of(f++);
            if (entries == 0)
                return; // no buffers
            n.first = s.next;
            n.held = n.left = static_cast<std::uint8_t>(entries);
        } else if (s.left != 0) {
            const int i = defect_ == Defect::first_entry_first ? s.held - s.left : s.left - 1;
            int f = s.first;
            int e = i;
            for (; e >= entries_of(f); ++f)
                e -= entries_of(f);
            const int at = (s.pos + i) % (2 * depth);
            n.comp[at % depth] = {phase_of(at), static_cast<std::uint8_t>(f),
                                  static_cast<std::uint8_t>(e + 1 < entries_of(f))};
            --n.left;
        } else {
            n.pos = static_cast<std::uint8_t>((s.pos + s.held) % (2 * depth));
            n.next = static_cast<std::uint8_t>(s.first + frames_in(s));
            n.held = 0;
        }
        out.push_back(n);
    }

    void heir(const State &s, std::vector<State> &out)
    {
        State n = s;
        const int at = (s.pos + s.at) % (2 * depth);
        const bool there = s.at < batch && s.comp[at % depth].phase == phase_of(at);
        if (s.recovering == 1) {
            if (there) {
                ++n.at;
                ++n.count;
            } else {
                n.recovering = 2;
            }
        } else if (s.at < batch && defect_ != Defect::keeps_leftovers) {
            if (there)
                n.comp[at % depth].phase ^= 1;
            ++n.at;
        } else {
            n.pos = static_cast<std::uint8_t>((s.pos + s.count) % (2 * depth));
            n.recovering = n.at = n.count = 0;
        }
        out.push_back(n);
    }

    void receiver(const State &s, std::vector<State> &out)
    {
        const Entry &e = s.comp[s.taken % depth];
        if (e.phase != phase_of(s.taken)) {
            if (s.partial != 0)
                wrong_ = "a frame whose end is not there";
            return;
        }
        State n = s;
        n.taken = static_cast<std::uint8_t>((s.taken + 1) % (2 * depth));
        if (e.frame <= s.seen)
            wrong_ = "a frame twice, or out of order";
        ++n.partial;
        if (e.more == 0) {
            if (n.partial != entries_of(e.frame))
                wrong_ = "a frame in pieces";
            n.partial = 0;
            n.seen = e.frame;
        }
        out.push_back(n);
    }

    Defect defect_;
    std::string wrong_;
};

TEST(LaneModel, WholeFramesInOrderWhateverIsKilledWhen)
{
    const model::Explored explored = model::explore(LaneModel{Defect::none});
    EXPECT_EQ(explored.wrong, "");
    EXPECT_GT(explored.states, 10'000u);
    std::printf("lane model: %zu states, %zu steps\n", explored.states, explored.steps);
}

// The model sees what it is there to see.
TEST(LaneModel, ShowsWhatTheOrderOfStoresAndTheRecoveryAreFor)
{
    for (const Defect defect :
         {Defect::first_entry_first, Defect::no_recovery, Defect::keeps_leftovers})
        EXPECT_NE(model::explore(LaneModel{defect}).wrong, "") << static_cast<int>(defect);
}

} // namespace
