// SPDX-License-Identifier: Apache-2.0
#include "direct_server.hpp"

#include "elisa/types.hpp"
#include "elisa_abi.h"
#include "listen_unix.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <linux/memfd.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

namespace vmnet {

using namespace rvif::direct;

namespace {

// Of /dev/shm, as far as it is used.
constexpr std::uint32_t usual_capture_mib = 32;

std::string with_errno(const std::string &what)
{
    return what + ": " + std::strerror(errno);
}

} // namespace

std::unique_ptr<DirectServer> DirectServer::create(const DirectOptions &options, std::string &why)
{
    std::unique_ptr<DirectServer> server{new DirectServer};
    server->options_ = options;
    if (rlimit files{};
        ::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &files);
    }

    const std::size_t capture_bytes =
        std::size_t{options.config.capture_mib.value_or(usual_capture_mib)} << 20;
    if (!server->make_memory(capture_bytes, why)) {
        return nullptr;
    }
    const std::size_t switch_bytes = server->memory_bytes_ - capture_bytes - board_bytes;
    server->switch_ = rvs::Switch::create(server->memory_, switch_bytes, options.config.limits);
    auto *const behind = static_cast<std::byte *>(server->memory_) + switch_bytes;
    server->board_ = reinterpret_cast<Board *>(behind + capture_bytes); // zeros
    if (server->switch_ == nullptr) {
        why = "the switch cannot be laid out: a limit is out of range";
        return nullptr;
    }
    if (!server->listen(why)) {
        return nullptr;
    }
    configure(server->journal_, options.config);
    server->ports_.emplace(*server->switch_, options.config, server->journal_);
    server->console_.emplace(server->journal_);
    const auto opened = server->console_->open(
        options.control.empty() ? options.socket + ".control" : options.control,
        {"direct", options.socket, {options.config_file}}, *server->switch_, *server->ports_,
        {behind, capture_bytes});
    if (!opened) {
        why = opened.error().message;
        return nullptr;
    }
    server->journal_.tell(Level::info, "ready", "the switch is ready at " + options.socket);
    return server;
}

// The switch, the captures' memory and, where drivers look for it, at the end, the board.
bool DirectServer::make_memory(std::size_t capture_bytes, std::string &why)
{
    const std::size_t page = options_.huge ? elisa::huge_page_size : elisa::page_size;
    memory_bytes_ =
        (rvs::Switch::footprint(options_.config.limits) + capture_bytes + board_bytes + page - 1) &
        ~(page - 1);
    memory_fd_ =
        Fd{::memfd_create("rvs", MFD_CLOEXEC | (options_.huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0U))};
    if (!memory_fd_ || ::ftruncate(memory_fd_.get(), static_cast<off_t>(memory_bytes_)) != 0) {
        why = with_errno("cannot make the switch's memory");
        return false;
    }
    // Where drivers have it, too: what is in it has the same address for all.
    void *const memory =
        ::mmap(reinterpret_cast<void *>(ELISA_OBJECT_VA), memory_bytes_, PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_FIXED_NOREPLACE, memory_fd_.get(), 0);
    if (memory == MAP_FAILED) {
        why = options_.huge && errno == ENOMEM
                  ? "--huge needs " + std::to_string(memory_bytes_ / page) +
                        " free pages of 2 MB beside those of the ports' programs: reserve more, "
                        "echo N > /proc/sys/vm/nr_hugepages"
                  : with_errno("cannot map the switch's memory");
        return false;
    }
    memory_ = memory;
    return true;
}

bool DirectServer::listen(std::string &why)
{
    // Who can connect can read and write every packet.
    auto listener = apps::listen_unix(options_.socket, SOCK_SEQPACKET, apps::Access::owner);
    if (!listener) {
        why = listener.error().message;
        return false;
    }
    listener_ = std::move(*listener);
    return true;
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

void DirectServer::run(int signals)
{
    Clock::time_point next_tick = Clock::now() + std::chrono::seconds{1};
    Clock::time_point next_print = Clock::now() + std::chrono::seconds{options_.stats_interval};
    std::vector<pollfd> fds;
    for (;;) {
        fds.assign({{.fd = signals, .events = POLLIN, .revents = 0},
                    {.fd = listener_.get(), .events = POLLIN, .revents = 0}});
        for (const Client &client : clients_) {
            fds.push_back({.fd = client.socket.get(), .events = POLLIN, .revents = 0});
        }
        const bool busy = std::ranges::any_of(
            mappings_, [](const Mapping &m) { return m.state == Mapping::State::closing; });
        console_->wait(fds, std::chrono::milliseconds{busy ? 2 : 250});
        console_->work();
        if (fds[0].revents != 0) {
            signalfd_siginfo signal{};
            if (::read(signals, &signal, sizeof(signal)) != sizeof(signal) ||
                signal.ssi_signo != SIGHUP) {
                return;
            }
            console_->reload();
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
        if (options_.stats_interval != 0 && now >= next_print) {
            std::fputs(to_table(ports_->records()).c_str(), stdout);
            std::fflush(stdout);
            next_print = now + std::chrono::seconds{options_.stats_interval};
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
    const Config &config = ports_->config();
    const GuestConfig anybody{.label = std::to_string(client.pid) + ":" + message.text,
                              .ports = RVIF_MAX_PORTS};
    const GuestConfig *guest = &anybody;
    if (!config.guests.empty() && (guest = config.find(message.text)) == nullptr) {
        journal_.tell(Level::debug, "port-refused",
                      client.name + " was refused: there is no [[guest]] with the label '" +
                          message.text + "'",
                      {{"label", message.text},
                       {"pid", client.pid},
                       {"reason", "no [[guest]] with this label"}});
        refuse(client, message.sequence,
               std::string{"there is no [[guest]] with the label '"} + message.text +
                   "': give the device label=, one of the manager's configuration");
        return;
    }
    const auto opened = ports_->open(*guest, client.pid,
                                     client.name + " (pid " + std::to_string(client.pid) + ", " +
                                         message.text + ")");
    if (!opened) {
        refuse(client, message.sequence, opened.error().message);
        return;
    }
    const rvs::PortId port = *opened;
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
    answer(client, message.sequence, static_cast<std::uint64_t>(port));
}

void DirectServer::close_port(const Client &client, rvs::PortId port)
{
    ports_->close(port, client.name + ", pid " + std::to_string(client.pid));
}

void DirectServer::port_close(Client &client, const Message &message)
{
    const rvs::PortId port{static_cast<std::uint32_t>(message.argument[0])};
    if (std::erase(client.ports, port) == 0) {
        refuse(client, message.sequence, "not a port of this process");
        return;
    }
    close_port(client, port);
    answer(client, message.sequence);
}

void DirectServer::drop(Client &client, const char *reason)
{
    if (client.dead) {
        return;
    }
    client.dead = true;
    if (client.welcome) {
        journal_.tell(Level::info, "driver-gone",
                      client.name + " (pid " + std::to_string(client.pid) + ") " + reason,
                      {{"pid", client.pid}});
    }
    // Hanging up tells a driver that is still alive. Its ports answer with an error from now on.
    client.socket = Fd{};
    for (const rvs::PortId port : client.ports) {
        close_port(client, port);
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
            journal_.tell(Level::warning, "driver-late",
                          client.name + " (pid " + std::to_string(client.pid) +
                              ") does not react, nobody waits for it any more",
                          {{"pid", client.pid}});
        }
    }
    for (auto it = mappings_.begin(); it != mappings_.end();) {
        it = advance_mapping(*it, now) ? mappings_.erase(it) : std::next(it);
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

std::string DirectServer::json() const
{
    return apps::Json{{"backend", "direct"}, {"ports", to_json(ports_->records())}}.dump(
        -1, ' ', false, apps::Json::error_handler_t::replace);
}

} // namespace vmnet
