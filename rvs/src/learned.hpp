// SPDX-License-Identifier: Apache-2.0
// How many addresses of the MAC table were learned at a port.
#ifndef RVS_LEARNED_HPP
#define RVS_LEARNED_HPP

#include <atomic>
#include <cstdint>

namespace rvs {

// Kept by whoever changes an entry, the port's CPUs or another's that an address moves to, and
// counted anew by the manager, since a call may be cut short between entry and count.
//
//   63      40 39    32 31       0
//   [ changes | counts | number  ]
//
// A count of the table while there are changes is of no one moment: it finds an address that two
// ports take from each other where it is no more. So it is void then. Whoever takes an entry away
// changes the count before, less(), and after, settle(): a manager who has found the entry in
// between has counted already, which settle() tells, or never will.
class LearnedCount {
  public:
    [[nodiscard]] std::uint32_t number() const { return static_cast<std::uint32_t>(snapshot()); }
    [[nodiscard]] std::uint64_t snapshot() const { return word_.load(std::memory_order_acquire); }

    void more() { word_.fetch_add(change + 1, relaxed); }
    struct Less {
        std::uint64_t after; // snapshot
        bool done;
    };
    // Not below 0: the manager may have counted, or cleared, when the entry had gone already. An
    // exchange that fails is an entry of the port that another CPU has changed; after so many it
    // is left to the manager, so that nobody is kept here.
    Less less()
    {
        std::uint64_t old = snapshot();
        for (int attempt = 0; attempt < 64 && static_cast<std::uint32_t>(old) != 0; ++attempt) {
            if (word_.compare_exchange_strong(old, old + change - 1, relaxed))
                return {old + change - 1, true};
        }
        return {old, false};
    }
    // True: the manager has counted since, with the entry or, if it had gone already, without it.
    [[nodiscard]] bool settle(const Less &less)
    {
        const std::uint64_t now = word_.fetch_add(change, std::memory_order_release);
        return ((now ^ less.after) & (change - count)) != 0;
    }
    // n were counted; void if there was a change since the snapshot.
    void counted(std::uint64_t before, std::uint32_t n)
    {
        const std::uint64_t counts = (before + count) & (change - count);
        word_.compare_exchange_strong(before, (before & ~(change - 1)) | counts | n, relaxed);
    }
    void clear() { word_.store(0, relaxed); }

  private:
    static constexpr auto relaxed = std::memory_order_relaxed;
    static constexpr std::uint64_t count = std::uint64_t{1} << 32;
    static constexpr std::uint64_t change = std::uint64_t{1} << 40;

    std::atomic<std::uint64_t> word_;
};

} // namespace rvs

#endif // RVS_LEARNED_HPP
