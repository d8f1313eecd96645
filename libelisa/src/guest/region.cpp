// SPDX-License-Identifier: Apache-2.0
#include "elisa/doorbell.hpp"
#include "elisa/guest.hpp"
#include "session.hpp"

#include <string>

namespace elisa {

Region::Region(std::shared_ptr<detail::Session> session, RegionId id, std::uint64_t length,
               std::vector<MemoryRange> ranges)
    : session_{std::move(session)}, id_{id}, length_{length}, ranges_{std::move(ranges)}
{
}

Region &Region::operator=(Region &&other) noexcept
{
    std::swap(session_, other.session_);
    std::swap(id_, other.id_);
    std::swap(length_, other.length_);
    std::swap(ranges_, other.ranges_);
    return *this;
}

Region::~Region()
{
    static_cast<void>(remove());
}

std::optional<std::uint64_t> Region::offset(const void *va) const noexcept
{
    const auto wanted = reinterpret_cast<std::uint64_t>(va);
    std::uint64_t base = 0;
    for (const MemoryRange &range : ranges_) {
        const auto begin = reinterpret_cast<std::uint64_t>(range.va);
        if (wanted >= begin && wanted - begin < range.length) {
            return base + (wanted - begin);
        }
        base += range.length;
    }
    return std::nullopt;
}

Result<void> Region::remove()
{
    const auto session = std::exchange(session_, nullptr);
    if (!session || !session->live()) {
        return {};
    }
    auto removed =
        doorbell::call(ELISA_CALL_REGION_REMOVE, {.rbx = *session->handle, .rsi = id_.value()},
                       "removing a region from export '" + session->export_name + "'");
    if (!removed) {
        return std::move(removed).error();
    }
    return {};
}

Result<Region> Attachment::register_region(std::span<const MemoryRange> ranges)
{
    if (!session_ || !session_->live()) {
        return make_error(Errc::state, "registering memory with an attachment that was detached");
    }
    const auto runs = resolve(ranges);
    if (!runs) {
        return runs.error();
    }
    std::uint64_t length = 0;
    for (const GpaRun &run : *runs) {
        length += run.length;
    }
    const std::string what = "registering " + std::to_string(length >> 20) +
                             " MB of memory with export '" + session_->export_name + "'";
    const auto created =
        doorbell::call(ELISA_CALL_REGION_CREATE, {.rbx = *session_->handle, .rsi = length}, what);
    if (!created) {
        return created.error();
    }
    // From here on it is removed if anything goes wrong.
    Region region{session_, RegionId{created->rbx}, length, {ranges.begin(), ranges.end()}};

    std::uint64_t offset = 0;
    for (const GpaRun &run : *runs) {
        for (std::uint64_t done = 0; done < run.length;) {
            const std::uint64_t piece = std::min<std::uint64_t>(run.length - done, ELISA_ADD_MAX);
            const auto added = doorbell::call(ELISA_CALL_REGION_ADD,
                                              {.rbx = *session_->handle,
                                               .rsi = region.id().value(),
                                               .rdi = offset,
                                               .r8 = run.gpa.value() + done,
                                               .r9 = piece},
                                              what);
            if (!added) {
                return added.error();
            }
            done += piece;
            offset += piece;
        }
    }
    const doorbell::Registers name{.rbx = *session_->handle, .rsi = region.id().value()};
    if (const auto committed = doorbell::call(ELISA_CALL_REGION_COMMIT, name, what); !committed) {
        return committed.error();
    }
    Result<doorbell::Registers> status = doorbell::Registers{};
    const auto deadline = std::chrono::steady_clock::now() + session_->timeout;
    const bool decided = detail::poll_until(deadline, [&] {
        status = doorbell::call(ELISA_CALL_REGION_STATUS, name, what);
        return !status || status->rbx != ELISA_STATE_PENDING;
    });
    if (!decided) {
        return make_error(Errc::timeout, what + ": its manager does not answer; is it running?");
    }
    if (!status) {
        return std::move(status).error();
    }
    if (status->rbx == ELISA_STATE_REFUSED) {
        return detail::refusal(status->rsi, what);
    }
    if (status->rbx != ELISA_STATE_READY) {
        return abi_error(-ELISA_E_DEAD, what);
    }
    return region;
}

} // namespace elisa
