// SPDX-License-Identifier: Apache-2.0
// Three ports that are up and know each other's addresses: where an execution begins.
#ifndef TESTS_FUZZ_RVS_THREE_PORTS_HPP
#define TESTS_FUZZ_RVS_THREE_PORTS_HPP

#include "guests.hpp"

namespace rvs::fuzz {

class ThreePorts {
  public:
    static constexpr std::uint32_t ports = 3;

    ThreePorts()
    {
        for (std::uint32_t p = 0; p < ports; ++p) {
            guests_.join(p);
            guests_.furnish(p);
        }
        guests_.compare_contents();
        for (std::uint32_t p = 0; p < ports; ++p)
            guests_.transmit(p, 0, 1);
        guests_.keep();
    }

  protected:
    // step(in), up to `most` times, while there is input.
    template <typename Step>
    void execute(Input &in, std::uint32_t most, Step step)
    {
        const std::size_t size = in.left();
        guests_.begin();
        for (std::uint32_t steps = 0; !in.empty() && steps < most; ++steps)
            step();
        guests_.finish(size);
    }

    Guests guests_{ports};
};

} // namespace rvs::fuzz

#endif // TESTS_FUZZ_RVS_THREE_PORTS_HPP
