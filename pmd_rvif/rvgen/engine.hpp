// SPDX-License-Identifier: Apache-2.0
// What is behind the generator's "wire". take() is what the application receives, give() what it
// sends.
#pragma once

#include "frame.hpp"
#include "nic.hpp"
#include "options.hpp"
#include "tally.hpp"

#include <cstdint>
#include <memory>
#include <rte_mbuf.h>
#include <string>
#include <vector>

namespace rvgen {

class Engine {
  public:
    virtual ~Engine() = default;
    virtual std::uint16_t take(rte_mempool *pool, rte_mbuf **pkts, std::uint16_t count) = 0;
    virtual void give(rte_mbuf **pkts, std::uint16_t count) = 0;
    // Everything it still holds.
    virtual void drop_all() {}

    [[nodiscard]] bool done() const { return done_; }

  protected:
    explicit Engine(const Options &options) : options_{options} {}

    // A frame as one piece of memory, and what its header says. Corrupted ones are told by good.
    struct Parsed {
        bool ours = false; // a test frame at all
        bool good = false; // size and CRC are right
        Header header{};
        const std::byte *bytes = nullptr;
        std::size_t size = 0;
    };
    Parsed parse(const rte_mbuf *mbuf);
    // From a pool; nullptr if it is empty or its buffers are too small.
    rte_mbuf *compose(rte_mempool *pool, std::size_t size, const rte_ether_addr &to, Kind kind,
                      std::uint8_t flags, std::uint16_t stream, std::uint64_t sequence,
                      const void *payload, std::size_t payload_size);
    // Once: says `json`, writes the report, ends the application.
    void finish(const std::string &json);
    void mark(const char *name);

    Options options_;

  private:
    bool done_ = false;
    std::vector<std::byte> scratch_ = std::vector<std::byte>(max_size);
};

std::unique_ptr<Engine> make_generator(const Options &options);
std::unique_ptr<Engine> make_echo(const Options &options);

// The mbuf's frame from its sender's point of view.
inline rte_ether_addr source_of(const std::byte *frame)
{
    rte_ether_addr address;
    std::memcpy(&address, frame + sizeof(address), sizeof(address));
    return address;
}
inline rte_ether_addr destination_of(const std::byte *frame)
{
    rte_ether_addr address;
    std::memcpy(&address, frame, sizeof(address));
    return address;
}

} // namespace rvgen
