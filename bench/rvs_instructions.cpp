// SPDX-License-Identifier: Apache-2.0
//
// What a frame costs in the switch, in instructions, counted rather than timed: each call is
// stepped through by its parent process, which needs no counters of the CPU and is the same
// everywhere.
//
//     rvs_instructions                          a table: receivers and MACs against cost
//     rvs_instructions SIZE BURST MACS PORTS    one row: frame size, burst, destination MACs,
//                                               receiving ports
//     rvs_instructions scaling                  how that grows from 2 to 64 ports and from 16 to
//     4096
//                                               MACs; fails if by more than 1.3
//     rvs_instructions capture                  what captures cost; fails if one that is not of a
//                                               frame's ports, or has ended, costs it anything
//
// The frames of a burst go to the MACs by turns, these are spread over the ports. Under callgrind,
//     valgrind --tool=callgrind --toggle-collect='rvs::Switch::call*' rvs_instructions 64 32 16 2
//     run
// does the same without counting, to be looked at.
#include "world.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace rvs;
using namespace rvs::test;

constexpr std::uint32_t depth = 512;
constexpr std::uint32_t stride = 2112;

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

// Which port a capture looks at, as elisactl's does.
enum class Captured { nobody, other_port, ended, sender, receiver };

struct Load {
    std::uint32_t size = 64;
    std::uint32_t burst = 32;
    std::uint32_t macs = 1;
    std::uint32_t ports = 1; // that receive
    std::uint32_t idle = 0;  // others
    Captured captured = Captured::nobody;
};

class Traffic {
  public:
    explicit Traffic(const Load &load) : load_{load}, world_{Limits{}}, sender_{world_, 0}
    {
        sender_.join();
        receivers_.resize(load.ports);
        for (std::uint32_t p = 0; p < load.ports; ++p) {
            receivers_[p].guest = std::make_unique<Guest>(
                world_, p + 1, GuestOptions{.depth = depth, .buf_len = 2048, .buffers = depth});
            receivers_[p].guest->join();
            receivers_[p].post();
        }
        for (std::uint32_t m = 0; m < load.macs; ++m)
            receivers_[m % load.ports].guest->send(frame(broadcast, mac(1000 + m)));
        // Memory for so many frames only: the headers of a burst are written anew each time.
        for (std::uint32_t i = 0; i < load.burst; ++i)
            staged_.push_back(sender_.stage(frame(mac(1000), mac(1), load.size)));
        for (std::uint32_t p = 0; p < load.idle; ++p) {
            idle_.push_back(std::make_unique<Guest>(world_, 1 + load.ports + p));
            idle_.back()->join();
        }
        if (load.captured != Captured::nobody)
            capture(load.captured);
        received_before_ = received();
    }

    void load()
    {
        for (std::uint32_t i = 0; i < load_.burst; ++i) {
            const Bytes f = frame(mac(1000 + next_), mac(1), load_.size);
            next_ = next_ + 1 == load_.macs ? 0 : next_ + 1;
            std::memcpy(sender_.memory().data() + RVIF_ADDR_OFFSET(staged_[i]), f.data(), f.size());
            sender_.desc(i, {staged_[i], load_.size});
        }
    }
    void send() { sender_.transmit(load_.burst); }
    void drain()
    {
        for (Receiver &r : receivers_)
            r.poll();
        if (capture_.guest != nullptr)
            capture_.poll();
    }
    [[nodiscard]] std::uint64_t delivered() const { return received() - received_before_; }

  private:
    static void must(bool good)
    {
        if (!good)
            std::abort();
    }

    void capture(Captured what)
    {
        constexpr std::uint32_t other_port = 61;
        constexpr std::uint32_t capture_port = 62;
        other_ = std::make_unique<Guest>(world_, other_port);
        other_->join();
        capture_.guest = std::make_unique<Guest>(
            world_, capture_port, GuestOptions{.depth = depth, .buf_len = 2048, .buffers = depth});
        capture_.guest->open({.capture = true});
        capture_.guest->set_up();
        must(capture_.guest->call(RVIF_OP_START) == 0);
        capture_.post();
        const std::uint32_t port = what == Captured::other_port ? other_port
                                   : what == Captured::receiver ? 1
                                                                : 0;
        const auto tap = [&](bool on) {
            must(world_->port_tap(PortId{port}, PortId{capture_port}, on) == Error::none);
        };
        tap(true);
        if (what == Captured::ended)
            tap(false);
    }

    [[nodiscard]] std::uint64_t received() const
    {
        std::uint64_t frames = 0;
        for (const Receiver &r : receivers_)
            frames += r.guest->stats().frames.rx_frames;
        return frames;
    }

    Load load_;
    World world_;
    Guest sender_;
    std::vector<Receiver> receivers_;
    std::vector<std::unique_ptr<Guest>> idle_;
    std::unique_ptr<Guest> other_;
    Receiver capture_;
    std::vector<rvif_addr_t> staged_;
    std::uint32_t next_ = 0;
    std::uint64_t received_before_ = 0;
};

// Of what the body does in a process of its own.
template <typename Body>
std::uint64_t instructions_of(Body body)
{
    const pid_t pid = fork();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0)
            _exit(1);
        raise(SIGSTOP);
        body();
        _exit(0);
    }
    std::uint64_t steps = 0;
    int status = 0;
    for (waitpid(pid, &status, 0); WIFSTOPPED(status); ++steps) {
        ptrace(PTRACE_SINGLESTEP, pid, nullptr, nullptr);
        waitpid(pid, &status, 0);
    }
    return steps;
}

// Per delivered frame; below 0: some were not.
double cost(const Load &load, std::uint32_t counted = 4)
{
    constexpr std::uint32_t warm = 40;
    Traffic traffic{load};
    for (std::uint32_t i = 0; i < warm; ++i) {
        traffic.load();
        traffic.send();
        traffic.drain();
    }
    const std::uint64_t before = traffic.delivered();
    std::uint64_t instructions = 0;
    for (std::uint32_t i = 0; i < counted; ++i) {
        traffic.load();
        instructions += instructions_of([&] { traffic.send(); });
        instructions -= instructions_of([] {});
        traffic.drain();
    }
    const std::uint64_t frames = traffic.delivered() - before;
    if (frames != std::uint64_t{counted} * load.burst)
        return -1;
    return static_cast<double>(instructions) / static_cast<double>(frames);
}

int table()
{
    constexpr std::uint32_t ports[] = {2, 3, 8, 64};
    constexpr std::uint32_t macs[] = {16, 256, 4096};
    std::printf(
        "Instructions in the switch per frame of 64 B, bursts of 32 that go to all MACs by\n"
        "turns; ports with the sender's.\n\n          one flow: %.1f\n\n%14s",
        cost({}), "");
    for (const std::uint32_t p : ports)
        std::printf("%5u ports", p);
    std::printf("\n");
    double least = 1e9;
    double most = 0;
    for (const std::uint32_t m : macs) {
        std::printf("%9u MACs", m);
        for (const std::uint32_t p : ports) {
            const double c = cost({.macs = m, .ports = p - 1});
            std::printf("%11.1f", c);
            least = std::min(least, c);
            most = std::max(most, c);
        }
        std::printf("\n");
    }
    std::printf("\n  most / least: %.2f\n", most / least);
    return least > 0 ? 0 : 1;
}

// Ports that do nothing, addresses that nobody sends to, and those that a burst goes to. A burst to
// one receiver is a run and costs less than the same to two, so receivers are counted from two on.
/// Now and then an address's age is noted, by the clock: the least of three has none of that,
/// however slow the machine.
double least_cost(const Load &load)
{
    return std::min({cost(load, 2), cost(load, 2), cost(load, 2)});
}

int scaling()
{
    constexpr double most = 1.3;
    struct Row {
        const char *text;
        Load from;
        Load to;
    };
    const Row rows[] = {
        {"one flow; 2 ports, and 62 idle ones", {}, {.idle = 62}},
        {"16 MACs at a port; 2 ports, and 62 idle ones", {.macs = 16}, {.macs = 16, .idle = 62}},
        {"2 ports; 16 MACs, 4096", {.macs = 16}, {.macs = 4096}},
        {"64 ports; 16 MACs, 4096", {.macs = 16, .ports = 63}, {.macs = 4096, .ports = 63}},
        {"16 MACs; 3 busy ports, 64", {.macs = 16, .ports = 2}, {.macs = 16, .ports = 63}},
        {"3 busy ports, 16 MACs; 64, 4096", {.macs = 16, .ports = 2}, {.macs = 4096, .ports = 63}},
    };
    std::printf(
        "Instructions in the switch per frame of 64 B, bursts of 32; at most %.1f times as many "
        "are wanted.\n\n",
        most);
    bool good = true;
    for (const Row &row : rows) {
        const double few = least_cost(row.from);
        const double many = least_cost(row.to);
        const bool within = few > 0 && many > 0 && many <= most * few;
        std::printf("%-48s%8.1f%8.1f  %.2f%s\n", row.text, few, many, many / few,
                    within ? "" : "  too many");
        good = good && within;
    }
    return good ? 0 : 1;
}

int captures()
{
    constexpr struct {
        Captured what;
        const char *text;
        bool free;
    } rows[] = {{Captured::nobody, "no capture", true},
                {Captured::other_port, "of another port", true},
                {Captured::ended, "of the sender's port, ended", true},
                {Captured::sender, "of the sender's port", false},
                {Captured::receiver, "of the receiver's port", false}};
    constexpr std::uint32_t sizes[] = {64, 1518};
    std::printf("Instructions in the switch per frame, bursts of 32, one flow.\n\n%-28s%10s%10s\n",
                "capture", "64 B", "1518 B");
    bool good = true;
    const double off[] = {cost({.size = sizes[0]}, 1), cost({.size = sizes[1]}, 1)};
    for (const auto &row : rows) {
        std::printf("%-28s", row.text);
        for (std::size_t i = 0; i < std::size(sizes); ++i) {
            const double c = cost({.size = sizes[i], .captured = row.what}, 1);
            std::printf("%10.1f", c);
            good = good && c > 0 && (row.free ? c == off[i] : c > off[i]);
        }
        std::printf("\n");
    }
    if (!good)
        std::printf("\nA capture costs frames something that are none of its business.\n");
    return good ? 0 : 1;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 2)
        return table();
    if (std::string_view{argv[1]} == "scaling")
        return scaling();
    if (std::string_view{argv[1]} == "capture")
        return captures();
    const auto argument = [&](int i, std::uint32_t otherwise) {
        return i < argc ? static_cast<std::uint32_t>(std::atoi(argv[i])) : otherwise;
    };
    const Load load{argument(1, 64), argument(2, 32), argument(3, 1), argument(4, 1)};
    if (argc > 5 && std::string_view{argv[5]} == "run") {
        constexpr std::uint32_t rounds = 2000;
        Traffic traffic{load};
        for (std::uint32_t i = 0; i < rounds; ++i) {
            traffic.load();
            traffic.send();
            traffic.drain();
        }
        std::printf("%llu\n", static_cast<unsigned long long>(traffic.delivered()));
        return 0;
    }
    const double c = cost(load);
    std::printf("%.1f\n", c);
    return c > 0 ? 0 : 1;
}
