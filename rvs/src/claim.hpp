// SPDX-License-Identifier: Apache-2.0
// Who is inside a part of a port: one of its CPUs, or nobody.
#ifndef RVS_CLAIM_HPP
#define RVS_CLAIM_HPP

#include "rvs/switch.hpp"

#include <atomic>
#include <cstdint>

namespace rvs {

// Held by one caller at a time. One that is killed inside leaves it held until port_close(); one
// whose call was cut short finds it its own when it calls again from the same CPU, which cannot
// be inside twice.
class Claim {
  public:
    enum class Result : std::uint8_t { taken, again, busy };

    Result take(std::uint32_t cpu)
    {
        const std::uint32_t mine = mark(cpu);
        std::uint32_t expected = 0;
        if (word_.compare_exchange_strong(expected, mine)) [[likely]]
            return Result::taken;
        return expected == mine && cpu != Switch::any_cpu ? Result::again : Result::busy;
    }
    void release() { word_.store(0, std::memory_order_release); }
    [[nodiscard]] bool held() const { return word_.load() != 0; }

  private:
    static std::uint32_t mark(std::uint32_t cpu)
    {
        return cpu == Switch::any_cpu ? Switch::any_cpu : cpu + 1;
    }
    std::atomic<std::uint32_t> word_;
};

} // namespace rvs

#endif // RVS_CLAIM_HPP
