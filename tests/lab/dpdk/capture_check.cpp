// SPDX-License-Identifier: Apache-2.0
// What elisactl captured of net_rvgen's port: each of its data frames, there and back, is byte for
// byte what the generator makes of its sequence number, and none is missing between the first and
// the last. usage: capture-check FILE SIZE AT-LEAST (frames of each direction)
#include "rvgen/frame.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace rvgen;

// The generator's, unless told; the echo's are these by turns.
constexpr rte_ether_addr generator{{0x02, 0x72, 0x76, 0x67, 0x00, 0x01}};
constexpr rte_ether_addr echo{{0x02, 0x72, 0x76, 0x67, 0x00, 0x02}};

// pcapng, as its draft has it.
constexpr std::uint32_t enhanced_packet = 6;
constexpr std::size_t packet_at = 28;
constexpr std::uint32_t inbound = 1;
constexpr std::uint32_t outbound = 2;

struct Captured {
    std::uint32_t direction;
    std::vector<std::byte> bytes;
};

[[noreturn]] void fail(const std::string &why)
{
    std::printf("capture-check: %s\n", why.c_str());
    std::exit(1);
}

std::uint32_t word(const std::string &file, std::size_t at)
{
    std::uint32_t value = 0;
    if (at + sizeof(value) > file.size()) {
        fail("the file ends within a block");
    }
    std::memcpy(&value, file.data() + at, sizeof(value));
    return value;
}

std::vector<Captured> frames_of(const std::string &file)
{
    std::vector<Captured> out;
    for (std::size_t at = 0; at < file.size();) {
        const std::uint32_t length = word(file, at + 4);
        if (length < 12 || length % 4 != 0 || word(file, at + length - 4) != length) {
            fail("a block's two lengths differ");
        }
        if (word(file, at) == enhanced_packet) {
            const std::uint32_t size = word(file, at + 20);
            const std::size_t options = at + packet_at + (size + 3) / 4 * 4;
            if (word(file, at + 24) != size || options + 8 > at + length) {
                fail("a frame is cut short");
            }
            Captured frame{.direction = word(file, options + 4),
                           .bytes = std::vector<std::byte>(size)};
            std::memcpy(frame.bytes.data(), file.data() + at + packet_at, size);
            out.push_back(std::move(frame));
        }
        at += length;
    }
    return out;
}

std::vector<std::byte> made(std::size_t size, bool sent, std::uint64_t sequence)
{
    std::vector<std::byte> frame(size);
    write_headers(frame.data(), size, sent ? echo : generator, sent ? generator : echo, Kind::data,
                  0, 0, sequence);
    fill_payload(frame.data() + payload_at, size - payload_at, sequence);
    seal(frame.data(), size);
    return frame;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 4) {
        fail("usage: capture-check FILE SIZE AT-LEAST");
    }
    std::ifstream in{argv[1], std::ios::binary};
    const std::string file{std::istreambuf_iterator<char>{in}, {}};
    const std::size_t size = std::strtoul(argv[2], nullptr, 10);
    const std::size_t least = std::strtoul(argv[3], nullptr, 10);

    std::map<std::uint32_t, std::size_t> seen;
    std::map<std::uint32_t, std::uint64_t> next;
    for (const Captured &frame : frames_of(file)) {
        if (frame.direction != inbound && frame.direction != outbound) {
            fail("a frame has no direction");
        }
        Header header{};
        if (frame.bytes.size() < payload_at) {
            fail("a frame is not the generator's");
        }
        std::memcpy(&header, frame.bytes.data() + header_at, sizeof(header));
        if (header.magic == magic && header.kind != Kind::data) {
            continue; // before the stream
        }
        const std::uint64_t sequence = header.sequence;
        if (frame.bytes != made(size, frame.direction == outbound, sequence)) {
            fail("frame " + std::to_string(sequence) + " is not what was sent");
        }
        if (seen[frame.direction]++ != 0 && sequence != next[frame.direction]) {
            fail("between frame " + std::to_string(next[frame.direction]) + " and " +
                 std::to_string(sequence) + " some are missing");
        }
        next[frame.direction] = sequence + 1;
    }
    if (seen[inbound] < least || seen[outbound] < least) {
        fail(std::to_string(seen[outbound]) + " sent and " + std::to_string(seen[inbound]) +
             " received are too few");
    }
    std::printf("captured as sent: %zu there, %zu back\n", seen[outbound], seen[inbound]);
    return 0;
}
