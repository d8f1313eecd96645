// SPDX-License-Identifier: Apache-2.0
#include "bucket.hpp"

namespace kvs {

namespace {

__extension__ typedef unsigned __int128 Pair [[gnu::may_alias]];

Pair pair_of(const Turn &turn)
{
    return static_cast<Pair>(turn.raw_word()) << 64 | turn.what();
}

} // namespace

bool Bucket::exchange(const Turn &from, const Turn &to)
{
    return __sync_bool_compare_and_swap(reinterpret_cast<Pair *>(this), pair_of(from), pair_of(to));
}

bool Bucket::settle(Turn &turn, std::uint64_t &helped)
{
    for (int i = 0; i < 64; ++i) {
        const std::uint64_t before = what.load(std::memory_order_acquire);
        turn = Turn{before, word.load(std::memory_order_acquire)};
        // `what` is never the same twice, so `word` belongs to it.
        if (what.load(std::memory_order_acquire) != before)
            continue;
        if (!turn.pending())
            return true;
        carry_out(turn);
        ++helped;
    }
    return false;
}

// By as many as like to, at the same time or much later. What was in the slot before is seen while
// the operation is pending, so it is either what the operation replaces, or already its word. The
// former never comes back: a helper that sleeps here and wakes up a year later changes nothing. It
// may get its mark meanwhile (note_read), once, hence again.
void Bucket::carry_out(const Turn &turn)
{
    if (turn.slot() < slots) {
        for (int i = 0; i < 3; ++i) {
            std::uint64_t before = slot[turn.slot()].load(std::memory_order_acquire);
            if (what.load(std::memory_order_acquire) != turn.what())
                return;
            if (Word{before}.same(turn.word()) ||
                slot[turn.slot()].compare_exchange_strong(before, turn.word().raw()))
                break;
        }
    }
    static_cast<void>(exchange(turn, turn.done()));
}

bool Bucket::change(const Turn &turn, std::uint32_t index, Word to)
{
    const Turn mine = turn.next(index, to);
    if (!exchange(turn, mine))
        return false;
    carry_out(mine);
    return true;
}

} // namespace kvs
