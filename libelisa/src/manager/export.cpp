// SPDX-License-Identifier: Apache-2.0
#include "elisa/doorbell.hpp"
#include "elisa/manager.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <unistd.h>
#include <vector>

namespace elisa {
namespace {

// Shows [offset, offset + length) of the object, which is `memory`, to the module.
Result<void> add(ExportId id, const HugeMemory &memory, std::span<const GpaRun> runs,
                 std::uint64_t offset, std::uint64_t length, elisa_map kind, std::string_view what)
{
    std::uint64_t run_offset = 0;
    for (const GpaRun &run : runs) {
        const std::uint64_t begin = std::max(offset, run_offset);
        const std::uint64_t end = std::min(offset + length, run_offset + run.length);
        if (begin < end) {
            const auto added = doorbell::call(ELISA_CALL_EXPORT_ADD,
                                              {.rbx = id.value(),
                                               .rsi = begin,
                                               .rdi = run.gpa.value() + (begin - run_offset),
                                               .r8 = end - begin,
                                               .r9 = static_cast<std::uint64_t>(kind)},
                                              what);
            if (!added) {
                return added.error();
            }
        }
        run_offset += run.length;
    }
    if (offset + length > memory.size()) {
        return make_error(Errc::invalid, "a part of the image lies outside its memory");
    }
    return {};
}

Result<HugeMemory> object_memory(std::size_t size)
{
    auto memory = HugeMemory::allocate(size, reinterpret_cast<void *>(ELISA_OBJECT_VA));
    if (!memory && memory.error().code == std::errc::file_exists) {
        return HugeMemory::allocate(size); // a second export of this process
    }
    return memory;
}

} // namespace

Result<Export> Export::create(std::string_view name, const Image &image, std::size_t heap_size)
{
    if (heap_size > ELISA_OBJECT_MAX - image.end()) {
        return make_error(Errc::invalid, "a heap of " + std::to_string(heap_size) +
                                             " bytes is more than an object can be");
    }
    const auto packed = doorbell::pack_name(name);
    if (!packed) {
        return packed.error();
    }
    const auto version = doorbell::probe();
    if (!version) {
        return version.error();
    }

    Export made;
    made.name_ = name;
    made.data_offset_ = image.data().offset;
    made.heap_offset_ = image.end();
    made.entry_ = image.entry();

    auto memory = object_memory(image.end() + heap_size);
    if (!memory) {
        return std::move(memory).error();
    }
    made.memory_ = std::move(*memory);
    for (const Image::Segment &segment : image.segments()) {
        const auto bytes = image.bytes(segment);
        std::memcpy(made.memory_.data() + segment.offset, bytes.data(), bytes.size());
    }
    elisa_image_header header{};
    header.magic = ELISA_IMAGE_MAGIC;
    header.heap = ELISA_OBJECT_VA + made.heap_offset_;
    header.heap_size = made.memory_.size() - made.heap_offset_;
    std::memcpy(made.memory_.data() + made.data_offset_, &header, sizeof(header));

    const MemoryRange range = made.memory_.range();
    const auto runs = resolve(std::span{&range, 1});
    if (!runs) {
        return runs.error();
    }

    const std::string what = "exporting '" + made.name_ + "'";
    const auto created = doorbell::call(ELISA_CALL_EXPORT_CREATE,
                                        {.rbx = (*packed)[0],
                                         .rsi = (*packed)[1],
                                         .rdi = (*packed)[2],
                                         .r8 = (*packed)[3],
                                         .r9 = made.memory_.size()},
                                        what);
    if (!created) {
        return created.error();
    }
    made.id_ = ExportId{created->rbx};
    made.owner_ = ::getpid();

    for (const Image::Segment &segment : image.segments()) {
        // Data and heap are one.
        const std::uint64_t length =
            segment.kind == ELISA_MAP_DATA ? made.memory_.size() - segment.offset : segment.size;
        if (auto added =
                add(made.id_, made.memory_, *runs, segment.offset, length, segment.kind, what);
            !added) {
            return std::move(added).error();
        }
    }
    return made;
}

Export::Export(Export &&other) noexcept
    : name_{std::move(other.name_)}, id_{other.id_}, memory_{std::move(other.memory_)},
      data_offset_{other.data_offset_},
      heap_offset_{other.heap_offset_}, entry_{other.entry_}, owner_{std::exchange(other.owner_, 0)}
{
}

Export &Export::operator=(Export &&other) noexcept
{
    std::swap(name_, other.name_);
    std::swap(id_, other.id_);
    std::swap(memory_, other.memory_);
    std::swap(data_offset_, other.data_offset_);
    std::swap(heap_offset_, other.heap_offset_);
    std::swap(entry_, other.entry_);
    std::swap(owner_, other.owner_);
    return *this;
}

Export::~Export()
{
    static_cast<void>(destroy());
}

Result<void> Export::publish()
{
    const auto published =
        doorbell::call(ELISA_CALL_EXPORT_PUBLISH, {.rbx = id_.value(), .rsi = entry_},
                       "publishing export '" + name_ + "'");
    if (!published) {
        return published.error();
    }
    return {};
}

Result<void> Export::destroy()
{
    // Not in a fork's child, whose parent it belongs to.
    if (std::exchange(owner_, 0) != ::getpid()) {
        return {};
    }
    const auto destroyed = doorbell::call(ELISA_CALL_EXPORT_DESTROY, {.rbx = id_.value()},
                                          "destroying export '" + name_ + "'");
    if (!destroyed) {
        return destroyed.error();
    }
    return {};
}

Result<std::optional<Event>> Export::poll()
{
    const auto head = doorbell::call(ELISA_CALL_EVENT_POLL, {.rbx = id_.value()},
                                     "waiting for events of export '" + name_ + "'");
    if (!head) {
        return head.error();
    }
    Event event{head->rsi, AttachmentId{head->rdi}, DetachEvent{}};
    switch (head->rbx) {
    case ELISA_EVENT_NONE:
        return std::optional<Event>{};
    case ELISA_EVENT_ATTACH: {
        const auto label =
            doorbell::call(ELISA_CALL_EVENT_LABEL, {.rbx = id_.value(), .rsi = head->rdi},
                           "asking who attaches to export '" + name_ + "'");
        if (!label && label.error().code != Errc::no_entry) {
            return label.error();
        }
        // It may have gone meanwhile: then it has no label, and nobody admits that.
        event.what = AttachEvent{
            label ? doorbell::unpack_name({label->rbx, label->rsi, label->rdi, label->r8}) : "",
            head->r8};
        break;
    }
    case ELISA_EVENT_DETACH:
        break;
    case ELISA_EVENT_REGION_ADD:
        event.what = RegionAddEvent{RegionId{head->r8}, SubVa{head->r9}, head->r10};
        break;
    case ELISA_EVENT_REGION_DEL:
        event.what = RegionDelEvent{RegionId{head->r8}};
        break;
    default:
        return make_error(Errc::inconsistent, "export '" + name_ + "' has an event of kind " +
                                                  std::to_string(head->rbx) +
                                                  ", which this libelisa does not know");
    }
    return std::optional{std::move(event)};
}

Result<std::optional<Event>> Export::wait(std::chrono::milliseconds timeout)
{
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    auto pause = std::chrono::microseconds{50};
    for (;;) {
        auto event = poll();
        if (!event || event->has_value() || std::chrono::steady_clock::now() >= deadline) {
            return event;
        }
        std::this_thread::sleep_for(pause);
        pause = std::min(pause * 2, std::chrono::microseconds{10'000});
    }
}

Result<void> Export::reply(const Event &event, std::int64_t verdict, std::uint64_t arg)
{
    const auto answered = doorbell::call(ELISA_CALL_EVENT_REPLY,
                                         {.rbx = id_.value(),
                                          .rsi = event.sequence,
                                          .rdi = static_cast<std::uint64_t>(verdict),
                                          .r8 = arg},
                                         "answering an event of export '" + name_ + "'");
    if (!answered) {
        return answered.error();
    }
    return {};
}

Result<void> Export::admit(const Event &event, std::uint64_t arg)
{
    return reply(event, 0, arg);
}

Result<void> Export::refuse(const Event &event, elisa_error verdict)
{
    return reply(event, -std::int64_t{verdict}, 0);
}

Result<void> Export::done(const Event &event)
{
    return reply(event, 0, 0);
}

std::span<std::byte> Export::heap() const noexcept
{
    return {memory_.data() + heap_offset_, memory_.size() - heap_offset_};
}

bool Export::same_addresses() const noexcept
{
    return reinterpret_cast<std::uint64_t>(memory_.data()) == ELISA_OBJECT_VA;
}

std::byte *Export::local(SubVa address, std::size_t length) const noexcept
{
    const std::uint64_t data = ELISA_OBJECT_VA + data_offset_;
    const std::uint64_t size = memory_.size() - data_offset_;
    if (address.value() < data || address.value() - data > size ||
        length > size - (address.value() - data)) {
        return nullptr;
    }
    return memory_.data() + (address.value() - ELISA_OBJECT_VA);
}

std::optional<SubVa> Export::sub_address(const void *local) const noexcept
{
    const auto base = reinterpret_cast<std::uint64_t>(memory_.data());
    const auto wanted = reinterpret_cast<std::uint64_t>(local);
    if (wanted < base + data_offset_ || wanted >= base + memory_.size()) {
        return std::nullopt;
    }
    return SubVa{wanted - base + ELISA_OBJECT_VA};
}

} // namespace elisa
