// SPDX-License-Identifier: Apache-2.0
#include "server.hpp"

#include "stream.hpp"

#include <chrono>
#include <poll.h>
#include <unistd.h>

namespace vmnet::control {
namespace {

using apps::Json;
using elisa::Errc;
using elisa::make_error;
using elisa::Result;

constexpr std::size_t most_sessions = 32;
// What a reader of a capture may be behind.
constexpr std::size_t most_unsent = std::size_t{16} << 20;

Json refusal(const std::string &why)
{
    return {{"ok", false}, {"error", why}};
}

template <class T>
Json refusal(const Result<T> &failed)
{
    return refusal(failed.error().message);
}

std::uint64_t now_ns()
{
    using namespace std::chrono;
    return static_cast<std::uint64_t>(
        duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count());
}

void say_record(Peer &peer, const Record &record)
{
    peer.say({reinterpret_cast<const char *>(&record), sizeof(record)});
}

// Why a port does not carry frames, or nothing.
std::string why_down(const Ports::Port *port, const rvs::PortInfo &info)
{
    if (!info.link) {
        return port != nullptr && port->guest.down ? "held down by the configuration"
                                                   : "held down by the administrator";
    }
    if (info.regions == 0) {
        return "its driver has registered no memory yet";
    }
    if (!info.started) {
        return "its driver has not started it";
    }
    if (info.rx_queues == 0) {
        return "it has no receive queue";
    }
    return {};
}

Json settings(const GuestConfig &guest)
{
    Json macs = Json::array();
    for (const std::uint64_t mac : guest.macs) {
        macs.push_back(format_mac(mac));
    }
    Json out = Json::object();
    if (guest.trunk.empty()) {
        out["vlan"] = guest.native;
    } else {
        out["trunk"] = guest.trunk;
        out["native"] = guest.native;
    }
    out["isolated"] = guest.isolated;
    out["macs"] = std::move(macs);
    out["mac_limit"] = guest.mac_limit;
    out["rate"] = guest.rate_mbit;
    out["burst"] = guest.burst_kib;
    out["storm"] = guest.storm;
    out["mirror"] = guest.mirror;
    out["capture"] = guest.capture;
    return out;
}

} // namespace

void Server::wait_for(std::vector<pollfd> &fds) const
{
    fds.push_back({.fd = listener_.fd(), .events = POLLIN, .revents = 0});
    for (const Session &session : sessions_) {
        session.peer.wait_for(fds);
    }
}

void Server::work()
{
    while (elisa::UniqueFd fd = listener_.accept()) {
        if (sessions_.size() >= most_sessions) {
            continue; // closes it
        }
        sessions_.push_back(Session{Peer{std::move(fd)}});
    }
    for (Session &session : sessions_) {
        bool there = session.peer.work(longest_request);
        std::string line;
        while (there && !session.captures && session.peer.line(line)) {
            session.peer.say(
                answer(session, line).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
        }
        if (session.follows) {
            pump_events(session);
        }
        if (session.captures) {
            pump_capture(session);
        }
        // Who shuts down its side has asked all that it will; streams end with it.
        const bool goes_on = session.follows || session.captures;
        there = there && session.peer.work(longest_request) &&
                !(session.peer.half_closed() && (goes_on || session.peer.unsent() == 0)) &&
                !(session.ending && session.peer.unsent() == 0);
        if (!there) {
            session.over = true;
            end_capture(session);
        }
    }
    sessions_.remove_if([](const Session &session) { return session.over; });
}

Json Server::answer(Session &session, const std::string &line)
{
    const Json request = Json::parse(line, nullptr, false);
    if (!request.is_object() || !request.contains("cmd") || !request["cmd"].is_string()) {
        return refusal("a request is one JSON object with \"cmd\" a line");
    }
    try {
        return dispatch(session, request);
    } catch (const Json::exception &error) {
        return refusal(std::string{"bad request: "} + error.what());
    }
}

Json Server::dispatch(Session &session, const Json &request)
{
    const std::string command = request["cmd"];
    if (command == "about") {
        return {{"ok", true},
                {"backend", about_.backend},
                {"where", about_.where},
                {"config", about_.config.file},
                {"pid", ::getpid()},
                {"guests", ports_.config().guests.size()}};
    }
    if (command == "ports") {
        return port_list();
    }
    if (command == "port-link") {
        const auto port = port_of(request);
        if (!port) {
            return refusal(port);
        }
        const auto done = ports_.link(*port, request.at("up").get<bool>());
        return done ? Json{{"ok", true}} : refusal(done);
    }
    if (command == "port-set") {
        const auto port = port_of(request);
        if (!port) {
            return refusal(port);
        }
        const auto done = ports_.set(*port, request.value("set", std::string{}),
                                     request.value("defaults", std::vector<std::string>{}));
        return done ? Json{{"ok", true}} : refusal(done);
    }
    if (command == "macs") {
        return mac_list();
    }
    if (command == "mac-add" || command == "mac-remove" || command == "mac-flush") {
        return mac_change(command, request);
    }
    if (command == "events") {
        session.told = request.value("after", std::uint64_t{0});
        session.follows = request.value("follow", false);
        Json events = Json::array();
        for (const Journal::Entry *const entry : journal_.since(session.told)) {
            events.push_back(Journal::to_json(*entry));
        }
        session.told = journal_.last();
        return {{"ok", true}, {"events", std::move(events)}};
    }
    if (command == "capture") {
        return start_capture(session, request);
    }
    if (command == "reload") {
        const auto later = reloader_.reload();
        return later ? Json{{"ok", true}, {"notes", *later}} : refusal(later);
    }
    return refusal("this manager knows no '" + command +
                   "': elisactl and vmnet are of different versions?");
}

Result<rvs::PortId> Server::port_of(const Json &request) const
{
    // By number, or by the label of the only port that has it.
    const Json &port = request.at("port");
    if (port.is_number_unsigned()) {
        const auto id = port.get<std::uint64_t>();
        if (id < RVIF_MAX_PORTS &&
            ports_.find(rvs::PortId{static_cast<std::uint32_t>(id)}) != nullptr) {
            return rvs::PortId{static_cast<std::uint32_t>(id)};
        }
        return make_error(Errc::no_entry,
                          "port " + std::to_string(id) + " is not open (elisactl port list)");
    }
    const std::string label = port.get<std::string>();
    std::vector<rvs::PortId> found;
    for (std::uint32_t id = 0; id < RVIF_MAX_PORTS; ++id) {
        const Ports::Port *const one = ports_.find(rvs::PortId{id});
        if (one != nullptr && one->guest.label == label) {
            found.push_back(rvs::PortId{id});
        }
    }
    if (found.size() == 1) {
        return found.front();
    }
    return make_error(Errc::no_entry,
                      found.empty()
                          ? "no open port has the label '" + label + "' (elisactl port list)"
                          : "several ports have the label '" + label + "': give a number");
}

Json Server::port_list() const
{
    Json ports = to_json(ports_.records());
    for (Json &entry : ports) {
        if (!entry["open"].get<bool>()) {
            continue;
        }
        const rvs::PortId id{entry["port"].get<std::uint32_t>()};
        const Ports::Port *const port = ports_.find(id);
        rvs::PortInfo info;
        if (!switch_.port_info(id, info)) {
            continue;
        }
        const std::string why = why_down(port, info);
        entry["link"] = why.empty() ? "up" : "down";
        if (!why.empty()) {
            entry["why"] = why;
        }
        entry["rx_queues"] = info.rx_queues;
        entry["tx_queues"] = info.tx_queues;
        if (port != nullptr) {
            entry["settings"] = settings(port->guest);
        } else {
            entry["of_manager"] = true;
        }
    }
    Json out{{"ok", true},
             {"time_ns", now_ns()},
             {"backend", about_.backend},
             {"ports", std::move(ports)}};
    if (capture_.active()) {
        out["capture"] = {{"port", number(capture_.watched())}, {"lost", capture_.lost()}};
    }
    return out;
}

Json Server::mac_list() const
{
    Json macs = Json::array();
    rvs::FdbEntry some[64];
    std::size_t cursor = 0;
    while (const std::size_t n = switch_.fdb_read(cursor, some, std::size(some))) {
        for (std::size_t i = 0; i < n; ++i) {
            macs.push_back({{"mac", format_mac(some[i].mac)},
                            {"vlan", some[i].vlan},
                            {"port", number(some[i].port)},
                            {"static", some[i].is_static},
                            {"age", some[i].age}});
        }
    }
    return {{"ok", true}, {"macs", std::move(macs)}};
}

Json Server::mac_change(const std::string &command, const Json &request)
{
    if (command == "mac-flush") {
        rvs::PortId port = rvs::no_port;
        if (request.contains("port")) {
            const auto one = port_of(request);
            if (!one) {
                return refusal(one);
            }
            port = *one;
        }
        static_cast<void>(switch_.mac_flush(port));
        journal_.tell(Level::info, "mac-flush",
                      port == rvs::no_port ? "all learned addresses forgotten"
                                           : "addresses learned at port " +
                                                 std::to_string(number(port)) + " forgotten");
        return {{"ok", true}};
    }
    const std::string text = request.at("mac");
    const auto mac = parse_mac(text);
    if (!mac) {
        return refusal("'" + text +
                       "' is not the address of one station, such as 02:00:00:00:00:01");
    }
    const auto vlan = request.value("vlan", std::uint32_t{0});
    rvs::Error error{};
    if (command == "mac-add") {
        const auto port = port_of(request);
        if (!port) {
            return refusal(port);
        }
        error = switch_.mac_add(*port, *mac, vlan);
        if (error == rvs::Error::state) {
            return refusal(text + " belongs to another port already (elisactl mac list)");
        }
    } else {
        error = switch_.mac_remove(*mac, vlan);
        if (error == rvs::Error::state) {
            return refusal(
                text +
                " is not in the table for this VLAN, or is a port's own (elisactl mac list)");
        }
    }
    if (error != rvs::Error::none) {
        return refusal(std::string{"the switch: "} + text_of(error));
    }
    journal_.tell(Level::info, command, text + (command == "mac-add" ? " added" : " removed"),
                  {{"mac", text}, {"vlan", vlan}});
    return {{"ok", true}};
}

Json Server::start_capture(Session &session, const Json &request)
{
    const auto watched = port_of(request);
    if (!watched) {
        return refusal(watched);
    }
    const auto own = ports_.config().capture_port(switch_.ports());
    if (!own) {
        return refusal("all of the switch's ports are taken, and a capture needs one");
    }
    if (rvs::PortStats before; switch_.port_stats(*own, before)) {
        ports_.settle(*own, before);
    }
    if (const auto started = capture_.start(*watched, *own); !started) {
        return refusal(started);
    }
    session.captures = true;
    journal_.tell(Level::info, "capture-started",
                  "port " + std::to_string(number(*watched)) + " is being captured",
                  {{"port", number(*watched)}});
    return {{"ok", true}, {"port", number(*watched)}, {"record", sizeof(Record)}};
}

void Server::end_capture(Session &session)
{
    if (!session.captures) {
        return;
    }
    session.captures = false;
    const std::uint64_t lost = capture_.lost();
    const auto port = number(capture_.watched());
    capture_.stop();
    journal_.tell(Level::info, "capture-ended",
                  "port " + std::to_string(port) + " is captured no more; lost by the switch: " +
                      std::to_string(lost) + ", by a slow reader: " + std::to_string(session.slow),
                  {{"port", port}, {"lost", lost}, {"slow", session.slow}});
}

void Server::pump_capture(Session &session)
{
    const bool closed = ports_.find(capture_.watched()) == nullptr;
    const std::uint64_t now = now_ns();
    capture_.drain([&](const Capture::Frame &frame) {
        if (session.peer.unsent() + frame.bytes.size() > most_unsent) {
            ++session.slow;
            return;
        }
        say_record(session.peer, {RecordKind::frame, static_cast<std::uint32_t>(frame.bytes.size()),
                                  now, frame.sent ? 1u : 0u, number(frame.from)});
        session.peer.say({reinterpret_cast<const char *>(frame.bytes.data()), frame.bytes.size()});
    });
    constexpr std::uint64_t count_every = 200'000'000;
    if (now - session.counted > count_every || closed) {
        session.counted = now;
        say_record(session.peer, {RecordKind::counts, 0, now, capture_.lost(), session.slow});
    }
    if (closed) { // no more will come
        end_capture(session);
        session.ending = true;
    }
}

void Server::pump_events(Session &session)
{
    if (session.peer.unsent() > most_unsent) {
        return;
    }
    for (const Journal::Entry *const entry : journal_.since(session.told)) {
        session.peer.say(
            Journal::to_json(*entry).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    }
    session.told = journal_.last();
}

} // namespace vmnet::control
