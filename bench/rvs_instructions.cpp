// SPDX-License-Identifier: Apache-2.0
//
// A fixed amount of forwarding, to be counted rather than timed, on machines whose counters are
// out of reach too: run it under
//     valgrind --tool=callgrind --toggle-collect='rvs::Switch::call*' rvs_instructions 64 32 1
// and divide the instructions collected by the frames that it reports. Arguments: frame size,
// burst, flows (destination MACs), receiving ports.
#include "world.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace {

using namespace rvs;
using namespace rvs::test;

constexpr std::uint32_t depth = 512;
constexpr std::uint32_t stride = 2112;
constexpr std::uint32_t rounds = 2000;

struct Receiver {
    std::unique_ptr<Guest> guest;
    std::uint32_t posted = 0;
    std::uint32_t taken = 0;

    void post()
    {
        for (; posted - taken < depth; ++posted) {
            const std::uint64_t at = guest->buffers_at() + std::uint64_t{posted % depth} * stride;
            guest->post_raw(0, posted, static_cast<std::uint32_t>(at / RVIF_BUF_UNIT));
        }
    }
    void poll()
    {
        while ((guest->comp(0, taken) & RVIF_PHASE) == guest->phase(taken))
            ++taken;
        post();
    }
};

} // namespace

int main(int argc, char **argv)
{
    const auto argument = [&](int i, std::uint32_t otherwise) {
        return i < argc ? static_cast<std::uint32_t>(std::atoi(argv[i])) : otherwise;
    };
    const std::uint32_t size = argument(1, 64);
    const std::uint32_t burst = argument(2, 32);
    const std::uint32_t flows = argument(3, 1);
    const std::uint32_t ports = argument(4, 1);

    World world{Limits{}};
    Guest sender{world, 0};
    sender.join();
    std::vector<Receiver> receivers(ports);
    for (std::uint32_t p = 0; p < ports; ++p) {
        receivers[p].guest = std::make_unique<Guest>(
            world, p + 1, GuestOptions{.depth = depth, .buf_len = 2048, .buffers = depth});
        receivers[p].guest->join();
        receivers[p].post();
    }
    for (std::uint32_t f = 0; f < flows; ++f)
        receivers[f % ports].guest->send(frame(broadcast, mac(1000 + f)));
    std::uint64_t before = 0;
    for (const Receiver &r : receivers)
        before += r.guest->stats().frames.rx_frames;
    std::uint32_t flow = 0;
    std::vector<rvif_addr_t> staged;
    for (std::uint32_t f = 0; f < std::max(flows, burst); ++f)
        staged.push_back(sender.stage(frame(mac(1000 + f % flows), mac(1), size)));
    for (std::uint32_t round = 0; round < rounds; ++round) {
        for (std::uint32_t i = 0; i < burst; ++i)
            sender.desc(i, {staged[flow++ % staged.size()], size});
        sender.transmit(burst);
        for (Receiver &r : receivers)
            r.poll();
    }
    std::uint64_t frames = 0;
    for (const Receiver &r : receivers)
        frames += r.guest->stats().frames.rx_frames;
    std::printf("%llu\n", static_cast<unsigned long long>(frames - before));
}
