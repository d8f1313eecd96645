// SPDX-License-Identifier: Apache-2.0
#include "direct_server.hpp"

#include "elisa_abi.h"
#include "rvs/names.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

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

std::uint32_t number(rvs::PortId port)
{
    return static_cast<std::uint32_t>(port);
}

} // namespace

std::unique_ptr<DirectServer> DirectServer::create(const DirectOptions &options, std::string &why)
{
    const auto failed = [&](const std::string &what) {
        why = what + ": " + std::strerror(errno);
        return nullptr;
    };
    std::unique_ptr<DirectServer> server{new DirectServer};
    server->options_ = options;
    if (rlimit files{};
        ::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &files);
    }

    const std::size_t switch_bytes =
        (rvs::Switch::footprint(options.config.limits) + 4095) & ~std::size_t{4095};
    server->memory_bytes_ = switch_bytes + board_bytes;
    server->memory_fd_ = Fd{::memfd_create("rvs", MFD_CLOEXEC)};
    if (!server->memory_fd_ ||
        ::ftruncate(server->memory_fd_.get(), static_cast<off_t>(server->memory_bytes_)) != 0) {
        return failed("cannot make the switch's memory");
    }
    server->memory_ = ::mmap(nullptr, server->memory_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED,
                             server->memory_fd_.get(), 0);
    if (server->memory_ == MAP_FAILED) {
        server->memory_ = nullptr;
        return failed("cannot map the switch's memory");
    }
    server->switch_ = rvs::Switch::create(server->memory_, switch_bytes, options.config.limits);
    server->board_ = reinterpret_cast<Board *>(static_cast<std::byte *>(server->memory_) +
                                               switch_bytes); // zeros
    if (server->switch_ == nullptr) {
        why = "the switch cannot be laid out: a limit is out of range";
        return nullptr;
    }

    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (options.socket.size() >= sizeof(address.sun_path)) {
        why = "the path of the socket is too long: " + options.socket;
        return nullptr;
    }
    options.socket.copy(address.sun_path, sizeof(address.sun_path) - 1);
    // A socket that nobody listens on is left over from a manager that was killed.
    if (struct stat st{}; ::stat(options.socket.c_str(), &st) == 0) {
        const Fd probe{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
        if (!S_ISSOCK(st.st_mode) ||
            ::connect(probe.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)) ==
                0) {
            why = options.socket +
                  " is in use: stop the manager that listens there, or choose another path";
            return nullptr;
        }
        ::unlink(options.socket.c_str());
    }
    server->listener_ = Fd{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!server->listener_ ||
        ::bind(server->listener_.get(), reinterpret_cast<const sockaddr *>(&address),
               sizeof(address)) != 0 ||
        // Who can connect can read and write every packet.
        ::chmod(options.socket.c_str(), 0600) != 0 || ::listen(server->listener_.get(), 16) != 0) {
        return failed("cannot listen at " + options.socket);
    }
    return server;
}

DirectServer::~DirectServer()
{
    if (listener_) {
        ::unlink(options_.socket.c_str());
    }
    if (memory_ != nullptr) {
        ::munmap(memory_, memory_bytes_);
    }
}

void DirectServer::run(int stop_fd)
{
    Clock::time_point next_tick = Clock::now() + std::chrono::seconds{1};
    Clock::time_point next_print = Clock::now() + options_.stats_interval;
    std::vector<pollfd> fds;
    for (;;) {
        fds.assign({{.fd = stop_fd, .events = POLLIN, .revents = 0},
                    {.fd = listener_.get(), .events = POLLIN, .revents = 0}});
        for (const Client &client : clients_) {
            fds.push_back({.fd = client.socket.get(), .events = POLLIN, .revents = 0});
        }
        const bool busy = std::ranges::any_of(
            mappings_, [](const Mapping &m) { return m.state == Mapping::State::closing; });
        ::poll(fds.data(), fds.size(), busy ? 2 : 250);
        if (fds[0].revents != 0) {
            return;
        }
        std::size_t i = 2;
        for (Client &client : clients_) {
            if (fds[i++].revents != 0) {
                serve(client);
            }
        }
        if (fds[1].revents != 0) {
            accept();
        }
        advance();
        const Clock::time_point now = Clock::now();
        if (now >= next_tick) {
            switch_->tick();
            next_tick = now + std::chrono::seconds{1};
        }
        if (options_.stats_interval.count() > 0 && now >= next_print) {
            print_stats();
            next_print = now + options_.stats_interval;
        }
    }
}

void DirectServer::accept()
{
    for (;;) {
        Fd socket{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
        if (!socket) {
            return;
        }
        Client &client = clients_.emplace_back();
        client.id = next_id_++;
        client.socket = std::move(socket);
    }
}

void DirectServer::serve(Client &client)
{
    while (!client.dead) {
        Received received;
        switch (receive(client.socket.get(), received, MSG_DONTWAIT)) {
        case Receive::message:
            handle(client, received);
            break;
        case Receive::nothing:
            return;
        case Receive::closed:
            drop(client, "has gone");
            return;
        case Receive::garbage:
            drop(client, "does not speak this protocol");
            return;
        }
    }
}

void DirectServer::handle(Client &client, Received &received)
{
    const Message &message = received.message;
    if (!client.welcome && message.kind != Kind::hello) {
        drop(client, "does not say hello");
        return;
    }
    switch (message.kind) {
    case Kind::hello:
        hello(client, message);
        return;
    case Kind::port_open:
        if (acknowledged(client)) {
            port_open(client, message);
        } else {
            client.opens.push_back(message);
        }
        return;
    case Kind::port_close:
        port_close(client, message);
        return;
    case Kind::region_add:
        region_add(client, received);
        return;
    case Kind::region_remove:
        region_remove(client, message);
        return;
    case Kind::ack:
        for (Mapping &mapping : mappings_) {
            const bool unmapped = mapping.state == Mapping::State::unmapping ||
                                  mapping.state == Mapping::State::lingering;
            if (mapping.id == message.argument[0] && unmapped == (message.argument[1] != 0)) {
                mapping.waiting.erase(client.id);
            }
        }
        return;
    default:
        drop(client, "does not speak this protocol");
    }
}

void DirectServer::hello(Client &client, const Message &message)
{
    if (client.welcome) {
        drop(client, "says hello twice");
        return;
    }
    client.welcome = true;
    client.pid = message.argument[0];
    client.name = message.text;
    Message welcome;
    welcome.kind = Kind::welcome;
    welcome.sequence = message.sequence;
    welcome.argument[0] = memory_bytes_;
    welcome.argument[1] = next_id_ - 1;
    const int fd = memory_fd_.get();
    tell(client, welcome, {&fd, 1});
    for (Mapping &mapping : mappings_) {
        if (mapping.state == Mapping::State::mapping || mapping.state == Mapping::State::live) {
            send_map(client, mapping);
        }
    }
}

void DirectServer::port_open(Client &client, const Message &message)
{
    const Config &config = options_.config;
    const GuestConfig anybody{.label = std::to_string(client.pid) + ":" + message.text};
    const GuestConfig *guest = &anybody;
    if (!config.guests.empty() && (guest = config.find(message.text)) == nullptr) {
        refuse(client, message.sequence,
               std::string{"there is no [[guest]] with the label '"} + message.text +
                   "': give the device label=, one of the manager's configuration");
        return;
    }
    const auto free = config.free_port(*guest, switch_->ports());
    if (!free) {
        refuse(client, message.sequence, "all of its ports are taken");
        return;
    }
    const rvs::PortId port = *free;
    if (const rvs::Error error = switch_->port_open(port, config.options(*guest));
        error != rvs::Error::none) {
        refuse(client, message.sequence, rvif_error_text(static_cast<long>(error)));
        return;
    }
    client.ports.push_back(port);
    for (const Mapping &mapping : mappings_) {
        if (mapping.owner == client.id && mapping.state == Mapping::State::live) {
            if (switch_->region_add(port, mapping.index, mapping.address, mapping.length) !=
                rvs::Error::none) {
                refuse(client, message.sequence, "the switch does not take this process' memory");
                return;
            }
        }
    }
    std::printf("vmnet: port %u opened for %s (pid %" PRIu64 ", %s)\n",
                static_cast<std::uint32_t>(port), client.name.c_str(),
                client.pid, message.text);
    answer(client, message.sequence, static_cast<std::uint64_t>(port));
}

void DirectServer::close_port(rvs::PortId port)
{
    Gone gone{.label = {}, .port = port, .stats = {}};
    rvs::PortInfo info;
    if (switch_->port_info(port, info) && switch_->port_stats(port, gone.stats)) {
        gone.label = info.label;
        gone_.push_back(gone);
    }
    switch_->port_close(port);
    std::printf("vmnet: port %u closed, %" PRIu64 " frames in, %" PRIu64 " out\n", number(port),
                gone.stats.frames.tx_frames, gone.stats.frames.rx_frames);
}

void DirectServer::port_close(Client &client, const Message &message)
{
    const rvs::PortId port{static_cast<std::uint32_t>(message.argument[0])};
    if (std::erase(client.ports, port) == 0) {
        refuse(client, message.sequence, "not a port of this process");
        return;
    }
    close_port(port);
    answer(client, message.sequence);
}

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

// The switch does not hand out its addresses any more; calls under way may still be in it.
void DirectServer::close_mapping(Mapping &mapping)
{
    switch_->grace_begin(mapping.grace);
    mapping.state = Mapping::State::closing;
    mapping.deadline = Clock::now() + grace_timeout;
}

void DirectServer::drop(Client &client, const char *reason)
{
    if (client.dead) {
        return;
    }
    client.dead = true;
    if (client.welcome) {
        std::printf("vmnet: %s (pid %" PRIu64 ") %s\n", client.name.c_str(), client.pid, reason);
    }
    // Hanging up tells a driver that is still alive. Its ports answer with an error from now on.
    client.socket = Fd{};
    for (const rvs::PortId port : client.ports) {
        close_port(port);
    }
    client.ports.clear();
    for (Mapping &mapping : mappings_) {
        mapping.waiting.erase(client.id);
        if (mapping.owner == client.id) {
            mapping.owner = 0;
            if (mapping.state == Mapping::State::mapping || mapping.state == Mapping::State::live) {
                close_mapping(mapping);
            }
        }
    }
}

bool DirectServer::acknowledged(const Client &client) const
{
    return std::ranges::none_of(mappings_,
                                [&](const Mapping &m) { return m.waiting.contains(client.id); });
}

DirectServer::Client *DirectServer::find(ClientId id)
{
    for (Client &client : clients_) {
        if (client.id == id && !client.dead) {
            return &client;
        }
    }
    return nullptr;
}

// Moves on whatever can move: mappings whose acknowledgements are in, whose calls have ended, whose
// time is up.
void DirectServer::advance()
{
    const Clock::time_point now = Clock::now();
    for (Client &client : clients_) {
        if (acknowledged(client)) {
            client.deadline.reset();
            client.late = false;
        } else if (!client.late && client.deadline && now > *client.deadline) {
            client.late = true;
            std::printf("vmnet: %s (pid %" PRIu64
                        ") does not react, nobody waits for it any more\n",
                        client.name.c_str(), client.pid);
        }
    }
    for (auto it = mappings_.begin(); it != mappings_.end();) {
        Mapping &mapping = *it;
        Client *owner = find(mapping.owner);
        bool done = false;
        switch (mapping.state) {
        case Mapping::State::mapping:
            if (!awaited(mapping) && owner != nullptr) {
                mapping.state = Mapping::State::live;
                board_->published.store(std::max(board_->published.load(), mapping.id));
                bool taken = true;
                for (const rvs::PortId port : owner->ports) {
                    taken = switch_->region_add(port, mapping.index, mapping.address,
                                                mapping.length) == rvs::Error::none &&
                            taken;
                }
                if (taken) {
                    answer(*owner, mapping.sequence, mapping.index, mapping.length);
                } else {
                    refuse(*owner, mapping.sequence, "the switch does not take this memory");
                }
            }
            break;
        case Mapping::State::live:
            break;
        case Mapping::State::closing: {
            const bool over = switch_->grace_over(mapping.grace);
            if (over || now > mapping.deadline) {
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
            break;
        }
        case Mapping::State::unmapping:
            if (!awaited(mapping)) {
                if (owner != nullptr) {
                    answer(*owner, mapping.sequence);
                }
                mapping.owner = 0;
                mapping.files.clear();
                mapping.state = Mapping::State::lingering;
            }
            break;
        case Mapping::State::lingering:
            // The address goes to somebody else only when no call can be in it and nobody has the
            // old files there.
            done = mapping.waiting.empty() && switch_->grace_over(mapping.grace);
            break;
        }
        it = done ? mappings_.erase(it) : std::next(it);
    }
    for (Client &client : clients_) {
        if (!client.opens.empty() && !client.dead && acknowledged(client)) {
            for (const Message &message : std::exchange(client.opens, {})) {
                port_open(client, message);
            }
        }
    }
    clients_.remove_if([](const Client &client) { return client.dead; });
    std::fflush(stdout);
}

void DirectServer::tell(Client &client, const Message &message, std::span<const int> fds)
{
    if (client.dead || client.deaf) {
        return;
    }
    // A dead peer's end of file comes by itself. The port of a living one is never taken away: it
    // may be inside.
    const int error = send(client.socket.get(), message, fds, MSG_DONTWAIT);
    client.deaf = error == EAGAIN || error == EWOULDBLOCK || error == ETOOMANYREFS;
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

void DirectServer::answer(Client &client, std::uint64_t sequence, std::uint64_t value0,
                          std::uint64_t value1)
{
    Message message;
    message.kind = Kind::done;
    message.sequence = sequence;
    message.argument = {value0, value1, 0, 0};
    tell(client, message);
}

void DirectServer::refuse(Client &client, std::uint64_t sequence, const std::string &why)
{
    Message message;
    message.kind = Kind::failed;
    message.sequence = sequence;
    message.say(why);
    tell(client, message);
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

// ---------------------------------------------------------------- counters

namespace {

void append_port(std::string &out, const std::string &label, rvs::PortId port,
                 const rvs::PortStats &stats, bool open)
{
    const rvif_port_stats &frames = stats.frames;
    out += out.ends_with('[') ? "" : ", ";
    out += "{\"port\": " + std::to_string(number(port)) + ", \"label\": \"";
    for (const char c : label) { // a device name: keep it printable whatever it is
        out += c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20 ? '?' : c;
    }
    out += std::string{"\", \"open\": "} + (open ? "true" : "false");
    out += ", \"rx_frames\": " + std::to_string(frames.rx_frames) +
           ", \"rx_bytes\": " + std::to_string(frames.rx_bytes);
    out += ", \"tx_frames\": " + std::to_string(frames.tx_frames) +
           ", \"tx_bytes\": " + std::to_string(frames.tx_bytes);
    out += ", \"crossings\": " + std::to_string(frames.crossings);
    out += ", \"copies\": " + std::to_string(stats.copies) +
           ", \"flooded\": " + std::to_string(stats.flooded);
    out += ", \"drops\": {";
    bool first = true;
    for (unsigned reason = 0; reason < RVIF_DROP_REASONS; ++reason) {
        if (frames.drops[reason] != 0) {
            out += std::string{first ? "\"" : ", \""} + rvif_drop_name(reason) +
                   "\": " + std::to_string(frames.drops[reason]);
            first = false;
        }
    }
    out += "}}";
}

} // namespace

std::string DirectServer::json() const
{
    std::string out = "{\"backend\": \"direct\", \"ports\": [";
    for (const Gone &gone : gone_) {
        append_port(out, gone.label, gone.port, gone.stats, false);
    }
    for (std::uint32_t i = 0; i < RVIF_MAX_PORTS; ++i) {
        rvs::PortInfo info;
        rvs::PortStats stats;
        if (switch_->port_info(rvs::PortId{i}, info) &&
            switch_->port_stats(rvs::PortId{i}, stats)) {
            append_port(out, info.label, rvs::PortId{i}, stats, true);
        }
    }
    return out + "]}";
}

void DirectServer::print_stats() const
{
    std::printf("%4s %-24s %14s %14s  %s\n", "port", "label", "frames in", "frames out", "drops");
    for (std::uint32_t i = 0; i < RVIF_MAX_PORTS; ++i) {
        rvs::PortInfo info;
        rvs::PortStats stats;
        if (!switch_->port_info(rvs::PortId{i}, info) ||
            !switch_->port_stats(rvs::PortId{i}, stats)) {
            continue;
        }
        std::string drops;
        for (unsigned reason = 0; reason < RVIF_DROP_REASONS; ++reason) {
            if (stats.frames.drops[reason] != 0) {
                drops += std::string{rvif_drop_name(reason)} + "=" +
                         std::to_string(stats.frames.drops[reason]) + " ";
            }
        }
        std::printf("%4u %-24s %14" PRIu64 " %14" PRIu64 "  %s\n", i, info.label,
                    stats.frames.tx_frames, stats.frames.rx_frames, drops.c_str());
    }
    std::fflush(stdout);
}

} // namespace vmnet
