// SPDX-License-Identifier: Apache-2.0
// The manager's control socket: requests of elisactl, one JSON object a line; events and captures
// go on for as long as somebody reads them. Part of the manager's own loop, in nobody's way.
#pragma once

#include "capture.hpp"
#include "listener.hpp"
#include "ports.hpp"
#include "reload.hpp"

#include <functional>
#include <list>

namespace vmnet::control {

// What a manager is, for whoever asks.
struct About {
    std::string backend; // "elisa", "direct"
    std::string where;   // the export, or the socket that drivers connect to
    ConfigSource config;
};

class Server {
  public:
    Server(Listener listener, About about, rvs::Switch &rvs_switch, Ports &ports, Capture &capture,
           Reloader &reloader, Journal &journal)
        : listener_{std::move(listener)}, about_{std::move(about)}, switch_{rvs_switch},
          ports_{ports}, capture_{capture}, reloader_{reloader}, journal_{journal}
    {
    }

    void wait_for(std::vector<pollfd> &fds) const;
    // Answers who has asked, moves on what goes on.
    void work();
    // How long the manager may sleep.
    [[nodiscard]] bool in_a_hurry() const { return capture_.active(); }

  private:
    struct Session {
        Peer peer;
        bool follows = false;
        std::uint64_t told = 0; // the last event that it knows
        bool captures = false;
        std::uint64_t slow = 0; // frames that it did not fetch in time
        std::uint64_t counted = 0;
        bool ending = false; // once all is sent
        bool over = false;
    };

    apps::Json answer(Session &session, const std::string &line);
    apps::Json dispatch(Session &session, const apps::Json &request);
    apps::Json port_list() const;
    apps::Json mac_list() const;
    apps::Json mac_change(const std::string &command, const apps::Json &request);
    apps::Json start_capture(Session &session, const apps::Json &request);
    void end_capture(Session &session);
    void pump_capture(Session &session);
    void pump_events(Session &session);
    elisa::Result<rvs::PortId> port_of(const apps::Json &request) const;

    Listener listener_;
    About about_;
    rvs::Switch &switch_;
    Ports &ports_;
    Capture &capture_;
    Reloader &reloader_;
    Journal &journal_;
    std::list<Session> sessions_;
};

} // namespace vmnet::control
