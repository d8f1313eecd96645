// SPDX-License-Identifier: Apache-2.0
// The real thing: the switch is an export of the manager VM, a call is a crossing into its sub EPT
// context.
#include "backend.hpp"
#include "devargs.hpp"
#include "elisa/guest.hpp"
#include "rvs/rvif.h"

#include <array>
#include <atomic>
#include <optional>
#include <vector>

namespace rvif {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast" // the ABI is C
constexpr std::int64_t bad_token = ELISA_RESULT_BAD_TOKEN;
#pragma GCC diagnostic pop

class ElisaBackend final : public Backend {
  public:
    explicit ElisaBackend(elisa::Attachment attachment) : attachment_{std::move(attachment)} {}

    int add_region(std::span<const Segment> segments, std::string &why) override
    {
        std::vector<elisa::MemoryRange> ranges;
        for (const Segment &segment : segments) {
            ranges.push_back({.va = segment.va, .length = segment.length, .gpa = std::nullopt});
        }
        elisa::Result<elisa::Region> region = attachment_.register_region(ranges);
        if (!region) {
            why = region.error().message;
            return -1;
        }
        const std::uint64_t index = region->id().value();
        if (index >= regions_.size()) {
            why = "the export takes more than " + std::to_string(regions_.size()) +
                  " regions, the switch does not";
            return -1;
        }
        regions_[index] = std::move(*region);
        return static_cast<int>(index);
    }

    void remove_region(int index) override { regions_[static_cast<std::size_t>(index)].reset(); }

    CallResult call(std::uint64_t op, std::uint64_t a1, std::uint64_t a2,
                    std::uint64_t a3) noexcept override
    {
        // Each crossing into nothing would cost thousands of instructions: a signal and its return.
        if (!alive()) [[unlikely]] {
            return {.status = -ELISA_E_DEAD, .value = 0};
        }
        const elisa::CallResult result = attachment_.call_anywhere(op, a1, a2, a3);
        if (result.status == 0 && result.value != bad_token) [[likely]] {
            return {.status = 0, .value = result.value};
        }
        // The image crashing once is no reason to give up; the export being gone is.
        if (result.status == 0 || result.status == -ELISA_E_DEAD ||
            result.status == -ELISA_E_REVOKED) {
            alive_.store(false, std::memory_order_relaxed);
        }
        return {.status = result.status != 0 ? result.status : -ELISA_E_DEAD, .value = 0};
    }

    [[nodiscard]] bool alive() const noexcept override
    {
        return alive_.load(std::memory_order_relaxed);
    }

    [[nodiscard]] std::string explain(std::int64_t status) const override
    {
        if (status == -ELISA_E_DEAD) {
            if (const auto armed = attachment_.arm_here(); !armed) {
                return armed.error().message;
            }
        }
        std::string text = "the crossing was cut short (";
        text += elisa::abi_error_name(status);
        text += ")";
        if (const auto abort = attachment_.abort_info(); abort) {
            text += ", exit reason " + std::to_string(abort->exit_reason) + " at RIP " +
                    std::to_string(abort->rip);
        }
        return text;
    }

  private:
    elisa::Attachment attachment_;
    std::array<std::optional<elisa::Region>, RVIF_MAX_REGIONS> regions_; // go before the attachment
    std::atomic<bool> alive_ = true;
};

} // namespace

std::unique_ptr<Backend> attach_elisa(const Config &config, std::string &why)
{
    elisa::AttachOptions options;
    options.instance = config.instance;
    elisa::Result<elisa::Attachment> attachment =
        elisa::Attachment::attach(config.export_name, options);
    if (!attachment) {
        why = attachment.error().message;
        return nullptr;
    }
    return std::make_unique<ElisaBackend>(std::move(*attachment));
}

} // namespace rvif
