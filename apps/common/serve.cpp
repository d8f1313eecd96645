// SPDX-License-Identifier: Apache-2.0
#include "serve.hpp"

#include <cstdio>
#include <map>

namespace apps {
namespace {

using elisa::Error;
using elisa::Event;
using elisa::Export;
using elisa::Result;

// The code for the guest; errors of the manager's own surroundings mean no more to it than
// "refused".
elisa_error verdict(const Error &error)
{
    if (error.code.category() == elisa::category() && error.code.value() > 0 &&
        error.code.value() < 32) {
        return static_cast<elisa_error>(error.code.value());
    }
    return ELISA_E_REFUSED;
}

class Loop {
  public:
    Loop(Export &served, Service &service) : export_{served}, service_{service} {}

    [[nodiscard]] bool idle_again() const { return had_one_ && attached_.empty(); }

    // What the predecessor of this process knew.
    Result<void> recover()
    {
        const auto attached = export_.attachments();
        if (!attached) {
            return attached.error();
        }
        for (const elisa::Attached &one : *attached) {
            attached_.emplace(one.id, one.arg);
            had_one_ = true;
        }
        service_.recover(*attached);
        std::printf("taken over, with %zu attachment(s)\n", attached->size());
        std::fflush(stdout);
        return {};
    }

    Result<void> handle(const Event &event)
    {
        const auto id = event.attachment;
        auto answered =
            std::visit([&](const auto &what) { return on(event, id, what); }, event.what);
        if (answered) {
            failures_ = 0;
            return {};
        }
        // The attachment may go while its event is being looked at; the queue then moves on by
        // itself. If it does not, say so rather than spin.
        std::fprintf(stderr, "%s\n", answered.error().message.c_str());
        return ++failures_ < 100 ? Result<void>{} : answered;
    }

  private:
    Result<void> on(const Event &event, elisa::AttachmentId id, const elisa::AttachEvent &what)
    {
        if (!attached_.contains(id)) {
            const auto arg = service_.attach(id, what);
            if (!arg) {
                std::printf("'%s' was not admitted: %s\n", what.label.c_str(),
                            arg.error().message.c_str());
                std::fflush(stdout);
                return export_.refuse(event, verdict(arg.error()));
            }
            attached_.emplace(id, *arg);
        }
        had_one_ = true;
        auto admitted = export_.admit(event, attached_.at(id));
        if (!admitted) {
            attached_.erase(id);
            service_.detach(id);
        }
        return admitted;
    }

    Result<void> on(const Event &event, elisa::AttachmentId id, const elisa::DetachEvent &)
    {
        if (attached_.erase(id) != 0) {
            service_.detach(id);
        }
        return export_.done(event);
    }

    Result<void> on(const Event &event, elisa::AttachmentId id, const elisa::RegionAddEvent &what)
    {
        if (const auto added = service_.region_add(id, what); !added) {
            std::printf("a region was refused: %s\n", added.error().message.c_str());
            std::fflush(stdout);
            return export_.refuse(event, verdict(added.error()));
        }
        return export_.done(event);
    }

    Result<void> on(const Event &event, elisa::AttachmentId id, const elisa::RegionDelEvent &what)
    {
        service_.region_del(id, what);
        return export_.done(event);
    }

    Export &export_;
    Service &service_;
    std::map<elisa::AttachmentId, std::uint64_t> attached_; // and the image's arg
    bool had_one_ = false;
    int failures_ = 0;
};

} // namespace

Result<void> serve(Export &served, Service &service, const std::atomic<bool> &stop,
                   const ServeOptions &options)
{
    Loop loop{served, service};
    if (served.taken_over()) {
        if (auto recovered = loop.recover(); !recovered) {
            return recovered;
        }
        served.resume();
    }
    constexpr std::chrono::milliseconds idle_enough{200}; // somebody may come back
    const auto pause = [&service](std::chrono::microseconds most) { service.pause(most); };
    auto last_event = std::chrono::steady_clock::now();
    auto next_tick = last_event + options.tick;
    while (!stop.load(std::memory_order_relaxed)) {
        const auto event = served.wait(std::min(options.tick, idle_enough), pause);
        if (!event) {
            return event.error();
        }
        const auto now = std::chrono::steady_clock::now();
        if (*event) {
            last_event = now;
            if (auto handled = loop.handle(**event); !handled) {
                return handled;
            }
        } else if (options.exit_when_idle && now - last_event >= idle_enough && loop.idle_again()) {
            break;
        }
        if (now >= next_tick) {
            service.tick();
            next_tick = now + options.tick;
        }
    }
    return {};
}

} // namespace apps
