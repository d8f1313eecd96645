// SPDX-License-Identifier: Apache-2.0
// Packet memory: everybody maps everybody's before the switch writes there, and none goes while a
// call may be in it.
#include "direct_server.hpp"
#include "elisa_abi.h"

#include <algorithm>
#include <array>

namespace vmnet {

using namespace rvif::direct;

namespace {

// A driver that takes longer to map what it is told to has been stopped. The others go on without
// it; the Board keeps it from calling the switch before it has caught up.
constexpr std::chrono::seconds ack_timeout{5};
// A caller that has stopped inside the switch keeps memory busy; its owner does not wait longer
// than this.
constexpr std::chrono::milliseconds grace_timeout{500};
constexpr std::uint64_t window_align = std::uint64_t{2} << 20;

} // namespace

std::optional<std::uint64_t> DirectServer::find_address(std::uint64_t length) const
{
    // First fit; a gap of one alignment unit after each, so that an overrun meets a fault rather
    // than a neighbour.
    std::vector<std::pair<std::uint64_t, std::uint64_t>> taken;
    for (const Mapping &mapping : mappings_) {
        taken.emplace_back(mapping.address, mapping.address + mapping.length);
    }
    std::ranges::sort(taken);
    std::uint64_t at = ELISA_WINDOW_VA;
    for (const auto &[from, to] : taken) {
        if (at + length + window_align <= from) {
            break;
        }
        at = (to + 2 * window_align - 1) & ~(window_align - 1);
    }
    const std::uint64_t used = at - ELISA_WINDOW_VA;
    return used + length <= ELISA_WINDOW_SIZE ? std::optional{at} : std::nullopt;
}

void DirectServer::region_add(Client &client, Received &received)
{
    const Message &message = received.message;
    if (message.segments != received.fd_count || message.segments == 0) {
        refuse(client, message.sequence, "a region without files");
        return;
    }
    for (std::size_t i = 0; i < received.fd_count; ++i) {
        client.segments.push_back(message.segment[i]);
        client.files.push_back(std::move(received.fds[i]));
    }
    if (message.argument[0] != 0) {
        answer(client, message.sequence);
        return;
    }
    std::vector<FileSegment> segments = std::exchange(client.segments, {});
    std::vector<Fd> files = std::exchange(client.files, {});
    std::uint64_t length = 0;
    for (const FileSegment &segment : segments) {
        if (segment.length == 0 || segment.length % 4096 != 0 || segment.fd_offset % 4096 != 0 ||
            segment.length > ELISA_WINDOW_SIZE || length + segment.length > ELISA_WINDOW_SIZE) {
            refuse(client, message.sequence, "a region of impossible size");
            return;
        }
        length += segment.length;
    }
    std::uint32_t taken = 0;
    for (const Mapping &mapping : mappings_) {
        if (mapping.owner == client.id) {
            taken |= 1u << mapping.index;
        }
    }
    std::uint32_t index = 0;
    while (index < RVIF_MAX_REGIONS && (taken >> index & 1) != 0) {
        ++index;
    }
    const std::optional<std::uint64_t> address = find_address(length);
    if (index == RVIF_MAX_REGIONS || !address) {
        refuse(client, message.sequence,
               address ? "more than " + std::to_string(RVIF_MAX_REGIONS) +
                             " regions: memory grew between the starts of its ports; stop and "
                             "start the first ones, or use EAL's -m"
                       : "the window is full");
        return;
    }
    Mapping &mapping = mappings_.emplace_back();
    mapping.id = next_id_++;
    mapping.owner = client.id;
    mapping.index = index;
    mapping.address = *address;
    mapping.length = length;
    mapping.segments = std::move(segments);
    mapping.files = std::move(files);
    mapping.sequence = message.sequence;
    for (Client &other : clients_) {
        if (other.welcome && !other.dead) {
            send_map(other, mapping);
        }
    }
}

void DirectServer::region_remove(Client &client, const Message &message)
{
    for (Mapping &mapping : mappings_) {
        if (mapping.owner == client.id && mapping.index == message.argument[0] &&
            mapping.state == Mapping::State::live) {
            mapping.sequence = message.sequence;
            for (const rvs::PortId port : client.ports) {
                switch_->region_remove(port, mapping.index);
            }
            close_mapping(mapping);
            return;
        }
    }
    refuse(client, message.sequence, "no such region");
}

void DirectServer::send_map(Client &client, Mapping &mapping)
{
    for (std::size_t from = 0; from < mapping.segments.size(); from += segments_per_message) {
        const std::size_t count = std::min(segments_per_message, mapping.segments.size() - from);
        Message message;
        message.kind = Kind::map;
        message.argument = {mapping.id, mapping.address, mapping.length,
                            from + count < mapping.segments.size() ? 1u : 0u};
        message.segments = static_cast<std::uint32_t>(count);
        std::array<int, segments_per_message> fds{};
        for (std::size_t i = 0; i < count; ++i) {
            message.segment[i] = mapping.segments[from + i];
            fds[i] = mapping.files[from + i].get();
        }
        tell(client, message, std::span{fds}.first(count));
    }
    expect_ack(client, mapping);
}

// True once nothing is left of it.
bool DirectServer::advance_mapping(Mapping &mapping, Clock::time_point now)
{
    Client *const owner = find(mapping.owner);
    switch (mapping.state) {
    case Mapping::State::mapping:
        if (!awaited(mapping) && owner != nullptr) {
            publish_mapping(mapping, *owner);
        }
        return false;
    case Mapping::State::live:
        return false;
    case Mapping::State::closing:
        if (switch_->grace_over(mapping.grace) || now > mapping.deadline) {
            Message message;
            message.kind = Kind::unmap;
            message.argument = {mapping.id, mapping.address, mapping.length, 0};
            for (Client &client : clients_) {
                if (client.welcome && !client.dead) {
                    tell(client, message);
                    expect_ack(client, mapping);
                }
            }
            mapping.state = Mapping::State::unmapping;
        }
        return false;
    case Mapping::State::unmapping:
        if (!awaited(mapping)) {
            if (owner != nullptr) {
                answer(*owner, mapping.sequence);
            }
            mapping.owner = 0;
            mapping.files.clear();
            mapping.state = Mapping::State::lingering;
        }
        return false;
    case Mapping::State::lingering:
        // The address goes to somebody else only when no call can be in it and nobody has the old
        // files there.
        return mapping.waiting.empty() && switch_->grace_over(mapping.grace);
    }
    return false;
}

// Everybody has it mapped: the switch may write there.
void DirectServer::publish_mapping(Mapping &mapping, Client &owner)
{
    mapping.state = Mapping::State::live;
    board_->published.store(std::max(board_->published.load(), mapping.id));
    bool taken = true;
    for (const rvs::PortId port : owner.ports) {
        taken = switch_->region_add(port, mapping.index, mapping.address, mapping.length) ==
                    rvs::Error::none &&
                taken;
    }
    if (taken) {
        answer(owner, mapping.sequence, mapping.index, mapping.length);
    } else {
        refuse(owner, mapping.sequence, "the switch does not take this memory");
    }
}

// The switch does not hand out its addresses any more; calls under way may still be in it.
void DirectServer::close_mapping(Mapping &mapping)
{
    switch_->grace_begin(mapping.grace);
    mapping.state = Mapping::State::closing;
    mapping.deadline = Clock::now() + grace_timeout;
}

bool DirectServer::acknowledged(const Client &client) const
{
    return std::ranges::none_of(mappings_,
                                [&](const Mapping &m) { return m.waiting.contains(client.id); });
}

// Whether a client that reacts still has to acknowledge.
bool DirectServer::awaited(const Mapping &mapping) const
{
    return std::ranges::any_of(clients_, [&](const Client &client) {
        return !client.dead && !client.late && mapping.waiting.contains(client.id);
    });
}

void DirectServer::expect_ack(Client &client, Mapping &mapping)
{
    if (!client.dead) {
        mapping.waiting.insert(client.id);
        client.deadline = client.deadline.value_or(Clock::now() + ack_timeout);
    }
}

} // namespace vmnet
