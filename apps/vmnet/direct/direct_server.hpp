// SPDX-License-Identifier: Apache-2.0
// The manager of the direct backend: owns the switch's memory, gives ports to driver processes, and
// sees to it that everybody has everybody's packet memory mapped before a frame is copied there. It
// is in no frame's way.
#pragma once

#include "config.hpp"
#include "console.hpp"
#include "direct_proto.hpp"
#include "elisa/unique_fd.hpp"
#include "rvs/switch.hpp"

#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace vmnet {

struct DirectOptions {
    std::string socket;
    std::string control;              // socket for elisactl; empty: SOCKET.control
    std::string config_file;          // that config is of, or empty
    std::string json;                 // where the final counters go; empty: nowhere
    std::uint32_t stats_interval = 0; // seconds; 0: do not print
    bool huge = false;                // the switch's memory in 2 MB pages
    Config config; // without guests: anybody may have a port, which may do anything
};

class DirectServer {
  public:
    // Null and a reason.
    static std::unique_ptr<DirectServer> create(const DirectOptions &options, std::string &why);
    ~DirectServer();

    // Until SIGINT or SIGTERM comes from `signals`, a signalfd; SIGHUP reads the configuration
    // again.
    void run(int signals);

    // Counters of all ports, those that have gone included: one JSON object.
    [[nodiscard]] std::string json() const;

  private:
    using Clock = std::chrono::steady_clock;
    using ClientId = std::uint64_t;

    struct Client {
        ClientId id = 0;
        rvif::direct::Fd socket;
        std::string name;
        std::uint64_t pid = 0;
        bool welcome = false;
        std::vector<rvs::PortId> ports;
        // A region whose segments are still coming.
        std::vector<rvif::direct::FileSegment> segments;
        std::vector<rvif::direct::Fd> files;
        std::vector<rvif::direct::Message> opens;  // wait until its mappings are acknowledged
        std::optional<Clock::time_point> deadline; // for its acknowledgements
        // Stopped (a debugger, SIGSTOP): nobody waits for its acknowledgements, until they are in.
        bool late = false;
        // ... for so long that messages do not fit any more: it learns of nothing that came after.
        bool deaf = false;
        bool dead = false;
    };

    // Packet memory of one client, mapped by all.
    struct Mapping {
        enum class State { mapping, live, closing, unmapping, lingering };
        std::uint64_t id = 0;
        State state = State::mapping;
        ClientId owner = 0; // 0: has gone
        std::uint32_t index = 0;
        std::uint64_t address = 0;
        std::uint64_t length = 0;
        std::vector<rvif::direct::FileSegment> segments;
        std::vector<rvif::direct::Fd> files;
        std::set<ClientId> waiting; // have not acknowledged the last message about it yet
        std::uint64_t sequence = 0; // of the owner's request
        rvs::Switch::Grace grace{};
        Clock::time_point deadline{};
    };

    DirectServer() = default;
    bool make_memory(std::size_t capture_bytes, std::string &why);
    bool listen(std::string &why);
    void accept();
    void serve(Client &client);
    void handle(Client &client, rvif::direct::Received &received);
    void hello(Client &client, const rvif::direct::Message &message);
    void port_open(Client &client, const rvif::direct::Message &message);
    void port_close(Client &client, const rvif::direct::Message &message);
    void region_add(Client &client, rvif::direct::Received &received);
    void region_remove(Client &client, const rvif::direct::Message &message);
    void close_port(const Client &client, rvs::PortId port);
    bool advance_mapping(Mapping &mapping, Clock::time_point now);
    void publish_mapping(Mapping &mapping, Client &owner);
    void close_mapping(Mapping &mapping);
    void drop(Client &client, const char *reason);
    void advance();
    [[nodiscard]] bool acknowledged(const Client &client) const;
    [[nodiscard]] bool awaited(const Mapping &mapping) const;
    void expect_ack(Client &client, Mapping &mapping);
    [[nodiscard]] std::optional<std::uint64_t> find_address(std::uint64_t length) const;
    void tell(Client &client, const rvif::direct::Message &message, std::span<const int> fds = {});
    void answer(Client &client, std::uint64_t sequence, std::uint64_t value0 = 0,
                std::uint64_t value1 = 0);
    void refuse(Client &client, std::uint64_t sequence, const std::string &why);
    void send_map(Client &client, Mapping &mapping);
    Client *find(ClientId id);

    DirectOptions options_;
    elisa::UniqueFd listener_;
    rvif::direct::Fd memory_fd_;
    void *memory_ = nullptr;
    std::size_t memory_bytes_ = 0;
    rvs::Switch *switch_ = nullptr;
    Journal journal_;
    std::optional<Ports> ports_;
    std::optional<Console> console_;
    rvif::direct::Board *board_ = nullptr;
    std::list<Client> clients_;
    std::list<Mapping> mappings_;
    std::uint64_t next_id_ = 1;
};

// The program: vmnet --backend direct. Arguments as main()'s.
int direct_main(int argc, char **argv);

} // namespace vmnet
