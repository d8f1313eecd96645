// SPDX-License-Identifier: Apache-2.0
#include "elisa/doorbell.hpp"
#include "elisa/guest.hpp"
#include "elisa/memory.hpp"
#include "nop.h"
#include "probes.hpp"
#include "program.hpp"
#include "sweep_abi.h"
#include "witness.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

namespace probes {
namespace {

enum class Allowed {
    nothing_else, // the crossing returns what it should, as if nothing had happened
    a_cut,        // or says that it was cut short by a signal
    an_end,       // or says that its attachment has ended
    no_return,    // this machine is not there any more
};

struct Event {
    const char *name;
    sweep_event number;
    Allowed allowed;
    const char *counter; // of /proc/interrupts, goes up by one each time
};

constexpr Event events[] = {
    {"host-interrupt", SWEEP_HOST_INTERRUPT, Allowed::nothing_else, nullptr},
    {"host-nmi", SWEEP_HOST_NMI, Allowed::nothing_else, nullptr},
    {"guest-interrupt", SWEEP_GUEST_INTERRUPT, Allowed::nothing_else, "RES:"},
    {"delivery", SWEEP_DELIVERY, Allowed::nothing_else, "RES:"},
    {"guest-nmi", SWEEP_GUEST_NMI, Allowed::nothing_else, "NMI:"},
    {"root-reload", SWEEP_ROOT_RELOAD, Allowed::nothing_else, nullptr},
    {"memslot", SWEEP_MEMSLOT, Allowed::nothing_else, nullptr},
    {"tlb-flush", SWEEP_TLB_FLUSH, Allowed::nothing_else, nullptr},
    {"migration", SWEEP_MIGRATION, Allowed::nothing_else, nullptr},
    {"user-space", SWEEP_USER_SPACE, Allowed::nothing_else, nullptr},
    {"late-signal", SWEEP_LATE_SIGNAL, Allowed::a_cut, nullptr},
    {"revoke", SWEEP_REVOKE, Allowed::an_end, nullptr},
    {"init", SWEEP_INIT, Allowed::no_return, nullptr},
    {"reset", SWEEP_RESET, Allowed::no_return, nullptr},
    {"kill", SWEEP_KILL, Allowed::no_return, nullptr},
    {"kill-manager", SWEEP_KILL_MANAGER, Allowed::an_end, nullptr},
};

const Event *event_named(const std::string &name)
{
    for (const Event &event : events) {
        if (event.name == name) {
            return &event;
        }
    }
    return nullptr;
}

// To the gate, to the sub, to the gate, and home.
constexpr unsigned vmfuncs_of_a_crossing = 4;

struct Path {
    // "sub 0x182": the context, and where in the page of the stubs or else in the object.
    apps::Json places = apps::Json::array();
    unsigned vmfuncs = 0; // nothing else leads from one context to the next
};

Path path(std::uint64_t places)
{
    constexpr const char *contexts[] = {"default", "gate", "sub"};
    Path found;
    std::uint64_t context = 0;
    for (std::uint64_t i = 0; i < places; ++i) {
        elisa::doorbell::Registers regs{.rbx = i};
        if (elisa::doorbell::ring(SWEEP_CALL_PLACE, regs) != 0 || regs.rbx > 2) {
            break;
        }
        const bool stub = regs.rsi - ELISA_GATE_VA < elisa::page_size;
        char text[32];
        std::snprintf(
            text, sizeof(text), "%s %s%#llx", contexts[regs.rbx], stub ? "" : "image ",
            static_cast<unsigned long long>(regs.rsi - (stub ? ELISA_GATE_VA : ELISA_OBJECT_VA)));
        found.places.push_back(text);
        found.vmfuncs += regs.rbx != context ? 1 : 0;
        context = regs.rbx;
    }
    return found;
}

// Only a crossing that nothing disturbed comes by there.
bool is_gate_exit(const apps::Json &place)
{
    char text[32];
    std::snprintf(text, sizeof(text), "gate %#x", ELISA_LANDING_OFF - 3);
    return place == text;
}

// The sum over the CPUs.
std::uint64_t interrupts(const std::string &counter)
{
    std::ifstream table{"/proc/interrupts"};
    for (std::string line; std::getline(table, line);) {
        std::istringstream words{line};
        std::string name;
        words >> name;
        if (name == counter) {
            std::uint64_t sum = 0;
            for (std::uint64_t value = 0; words >> value;) {
                sum += value;
            }
            return sum;
        }
    }
    return 0;
}

struct Step {
    std::uint64_t place;
    std::uint64_t places;
};

std::optional<Step> arm(std::uint64_t event, std::uint64_t place, std::uint64_t stride)
{
    elisa::doorbell::Registers regs{.rbx = event, .rsi = place, .rdi = stride};
    if (elisa::doorbell::ring(SWEEP_CALL_ARM, regs) != 0) {
        return std::nullopt;
    }
    return Step{regs.rbx, regs.rsi};
}

struct Outcome {
    bool happened;
    bool late;
    std::uint64_t places;
    std::uint64_t violations;
    std::uint64_t violation_at;
};

Outcome done()
{
    elisa::doorbell::Registers regs;
    static_cast<void>(elisa::doorbell::ring(SWEEP_CALL_DONE, regs));
    return {(regs.rbx & SWEEP_HAPPENED) != 0, (regs.rbx & SWEEP_LATE) != 0, regs.rsi, regs.rdi,
            regs.r8};
}

class Sweep {
  public:
    explicit Sweep(const SweepOptions &options) : options_{options} {}

    // What stands in the way, or nothing. The next manager may have to boot: who says nothing for
    // so long is taken for dead.
    std::optional<elisa::Error> attach()
    {
        constexpr int tries = 8;
        for (int left = tries - 1;; --left) {
            const auto error = attach_once();
            if (!error || left == 0) {
                return error;
            }
            std::printf("no attachment yet: %s\n", error->message.c_str());
            std::fflush(stdout);
        }
    }

    // Ends the witness next door, which counts until it is told.
    void dismiss_witness() { static_cast<void>(attachment_->call(NOP_ADD, end_of_campaign)); }

    // The places at which an event can happen. 0: no sweep in the host's module.
    std::uint64_t record()
    {
        static_cast<void>(attachment_->call(NOP_NOTHING, 1));
        std::uint64_t places = 0;
        for (int i = 0; i < crossings_recorded; ++i) {
            if (!arm(SWEEP_NOTHING, SWEEP_RECORD, 0)) {
                return 0;
            }
            static_cast<void>(attachment_->call(NOP_NOTHING, 1));
            places = done().places;
        }
        return places;
    }

    apps::Json sweep(const Event &event)
    {
        std::int64_t cases = 0;
        std::int64_t ordinary = 0;
        std::int64_t refused = 0;
        std::int64_t self_harm = 0;
        std::int64_t failed = 0;
        std::uint64_t sent = 0; // attempts that were cut by something else, too
        apps::Json wrong = apps::Json::array();
        const std::uint64_t before = event.counter != nullptr ? interrupts(event.counter) : 0;
        for (;;) {
            const bool neighbour = neighbour_goes_on();
            const auto step = arm(event.number, SWEEP_NEXT, options_.stride);
            if (!step || step->place == ~std::uint64_t{0}) {
                break;
            }
            if (event.allowed == Allowed::no_return) {
                // Said now, as there will be no later.
                apps::print_result({{"probe", "sweep"},
                                    {"places", step->places},
                                    {"events",
                                     {{event.name,
                                       {{"cases", 1},
                                        {"self_harm", neighbour ? 1 : 0},
                                        {"failed", neighbour ? 0 : 1},
                                        {"wrong", apps::Json::array()}}}}}});
            } else {
                ++cases;
            }
            // What was said is not to be stepped through.
            static_cast<void>(arm(event.number, step->place, 0));
            const auto value = static_cast<std::int64_t>(0x1234 + step->place);
            auto result = attachment_->call(NOP_NOTHING, static_cast<std::uint64_t>(value));
            auto outcome = done();
            const auto cut_by_another = [&] {
                return event.allowed != Allowed::a_cut && result.status == -ELISA_E_INTERRUPTED;
            };
            for (int again = 0; (!outcome.happened || cut_by_another()) && again < attempts;
                 ++again) {
                if (event.allowed == Allowed::an_end) {
                    static_cast<void>(attach());
                }
                sent += outcome.happened ? 1 : 0;
                static_cast<void>(arm(event.number, step->place, 0));
                result = attachment_->call(NOP_NOTHING, static_cast<std::uint64_t>(value));
                outcome = done();
            }
            sent += outcome.happened ? 1 : 0;
            const bool good = result.ok() && result.value == value;
            const bool cut =
                event.allowed == Allowed::a_cut && result.status == -ELISA_E_INTERRUPTED;
            const bool end = event.allowed == Allowed::an_end &&
                             (result.status == -ELISA_E_REVOKED || result.status == -ELISA_E_DEAD);
            bool works = true;
            if (event.allowed == Allowed::an_end) {
                works = !attach();
            }
            const auto next = works ? attachment_->call(NOP_NOTHING, 7) : elisa::CallResult{-1, 0};
            works &= next.ok() && next.value == 7;
            if (event.allowed == Allowed::no_return) {
                self_harm -= neighbour ? 1 : 0; // as was said beforehand
            }
            if (!outcome.happened || outcome.late || !(good || cut || end) || !works ||
                !neighbour || outcome.violations != violations_ ||
                event.allowed == Allowed::no_return) {
                ++failed;
                wrong.push_back({{"place", step->place},
                                 {"happened", outcome.happened},
                                 {"late", outcome.late},
                                 {"status", result.status},
                                 {"value", result.value},
                                 {"next_works", works},
                                 {"neighbour_goes_on", neighbour},
                                 {"violation", outcome.violations != violations_}});
            } else {
                ++(good ? ordinary : refused);
            }
            violations_ = outcome.violations;
            if (!works && attach()) {
                break;
            }
        }
        if (event.counter != nullptr && interrupts(event.counter) - before != sent) {
            wrong.push_back({{"counter", event.counter},
                             {"delivered", interrupts(event.counter) - before},
                             {"sent", sent}});
        }
        return {{"cases", cases},         {"ordinary", ordinary}, {"refused", refused},
                {"self_harm", self_harm}, {"failed", failed},     {"wrong", wrong}};
    }

  private:
    // A signal that QEMU sends of its own accord makes the rest of a crossing return by the trap,
    // past what follows, or cuts it, if it comes where the stepped vCPU is about to go on.
    static constexpr int crossings_recorded = 20;
    static constexpr int attempts = 20;

    static constexpr std::chrono::seconds patience_{30}; // with the neighbour

    // With memory of this machine's in the sub context, so that whatever happens has pins to undo.
    std::optional<elisa::Error> attach_once()
    {
        region_.reset();
        attachment_.reset();
        if (memory_.size() == 0) {
            auto memory = elisa::HugeMemory::allocate(1);
            if (!memory) {
                return memory.error();
            }
            memory_ = std::move(*memory);
        }
        auto attached =
            elisa::Attachment::attach(options_.export_name, {.timeout = std::chrono::seconds{4}});
        if (!attached) {
            return attached.error();
        }
        auto region = attached->register_region(memory_.range());
        if (!region) {
            return region.error();
        }
        attachment_.emplace(std::move(*attached));
        region_.emplace(std::move(*region));
        return std::nullopt;
    }

    // Since the last look. What it counts on is gone with a manager, and begins anew.
    bool neighbour_goes_on()
    {
        using Clock = std::chrono::steady_clock;
        const auto begin = Clock::now();
        for (auto said = begin; Clock::now() - begin < patience_;) {
            const auto now = attachment_->call(NOP_READ);
            if (now.ok() && now.value != counted_) {
                counted_ = now.value;
                return true;
            }
            if (Clock::now() - said > std::chrono::seconds{2}) {
                said = Clock::now();
                std::printf("the neighbour has not called yet\n");
                std::fflush(stdout);
            }
            std::this_thread::sleep_for(std::chrono::milliseconds{1});
        }
        return false;
    }

    const SweepOptions &options_;
    elisa::HugeMemory memory_;
    std::optional<elisa::Attachment> attachment_;
    std::optional<elisa::Region> region_;
    std::int64_t counted_ = 0; // by the neighbour
    std::uint64_t violations_ = 0;
};

} // namespace

int sweep(const SweepOptions &options)
{
    Sweep sweep{options};
    if (const auto error = sweep.attach()) {
        return apps::fail("lab-probe", *error);
    }
    const std::uint64_t places = sweep.record();
    const Path way = path(places);
    bool ok = std::ranges::any_of(way.places, is_gate_exit) && way.vmfuncs == vmfuncs_of_a_crossing;
    for (const std::string &name : options.events) {
        const Event *const event = event_named(name);
        if (event == nullptr) {
            std::fprintf(stderr, "lab-probe: there is no event '%s'\n", name.c_str());
            return 2;
        }
        const apps::Json seen = sweep.sweep(*event);
        ok &= seen["wrong"].empty();
        // Each at once: the next event may be this machine's end.
        apps::print_result({{"probe", "sweep"}, {"places", places}, {"events", {{name, seen}}}});
    }
    sweep.dismiss_witness();
    apps::print_result({{"probe", "sweep"},
                        {"places", places},
                        {"path", way.places},
                        {"vmfuncs", way.vmfuncs},
                        {"events", apps::Json::object()},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

} // namespace probes
