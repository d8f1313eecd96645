// SPDX-License-Identifier: Apache-2.0
// Ports with policies; what goes in, and what comes out where.
#ifndef TESTS_RVS_NET_HPP
#define TESTS_RVS_NET_HPP

#include "packets.hpp"
#include "world.hpp"

#include <memory>

namespace rvs::test {

struct Out {
    std::uint32_t port;
    Bytes frame;
    Received notes;

    bool operator==(const Out &) const = default;
};

class Net {
  public:
    explicit Net(Limits limits = World::small()) : world{limits} {}

    // The next port, joined; what others send has buffers.
    Guest &add(const PortOptions &options = {}, GuestOptions guest = {.buffers = 700})
    {
        guests.push_back(
            std::make_unique<Guest>(world, static_cast<std::uint32_t>(guests.size()), guest));
        guests.back()->join(options);
        post();
        return *guests.back();
    }
    // Refills all lanes.
    void post()
    {
        for (auto &to : guests) {
            for (auto &from : guests) {
                for (std::uint32_t t = 0; to != from && t < from->options().tx_queues; ++t) {
                    for (std::uint32_t q = 0; q < to->options().rx_queues; ++q)
                        to->post(from->source(t), 40, q);
                }
            }
        }
    }
    // What the ports got since the last look, in order of ports, senders and queues.
    std::vector<Out> take()
    {
        std::vector<Out> out;
        for (auto &to : guests) {
            for (auto &from : guests) {
                for (std::uint32_t t = 0; to != from && t < from->options().tx_queues; ++t) {
                    for (std::uint32_t q = 0; q < to->options().rx_queues; ++q) {
                        Out o{to->port(), {}, {}};
                        while (to->receive(from->source(t), o.frame, q, &o.notes))
                            out.push_back(o);
                    }
                }
            }
        }
        post();
        return out;
    }
    // Sends one frame, with requests, and says what came out.
    std::vector<Out> send(std::uint32_t from, const Bytes &frame, std::uint32_t flags = 0,
                          std::uint32_t vlan = 0, std::uint32_t segsz = 0)
    {
        Guest &g = *guests[from];
        g.desc(0, {g.stage(frame), frame.size(), flags, vlan, segsz});
        Guest::must(g.transmit(1) == 1, "TX");
        return take();
    }
    // Only the ports that got the frame as it is.
    std::vector<std::uint32_t> reached(std::uint32_t from, const Bytes &frame)
    {
        std::vector<std::uint32_t> ports;
        for (const Out &o : send(from, frame)) {
            Guest::must(o.frame == frame, "changed on its way");
            ports.push_back(o.port);
        }
        return ports;
    }
    // The switch learns that mac(n) is at this port.
    void introduce(std::uint32_t port, std::uint32_t n) { send(port, frame(broadcast, mac(n))); }
    [[nodiscard]] std::uint64_t drops(std::uint32_t port, rvif_drop reason) const
    {
        return guests[port]->drops(reason);
    }
    Guest &operator[](std::size_t i) { return *guests[i]; }

    World world;
    std::vector<std::unique_ptr<Guest>> guests;
};

using Ports = std::vector<std::uint32_t>;

} // namespace rvs::test

#endif // TESTS_RVS_NET_HPP
