// SPDX-License-Identifier: Apache-2.0
#include "elisa/doorbell.hpp"
#include "elisa/manager.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
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
        std::uint64_t begin = std::max(offset, run_offset);
        const std::uint64_t run_end = std::min(offset + length, run_offset + run.length);
        for (std::uint64_t end = 0; begin < run_end; begin = end) {
            end = std::min<std::uint64_t>(run_end, begin + ELISA_ADD_MAX);
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

// Of the file, or anonymous if there is none.
Result<HugeMemory> object_memory(const UniqueFd &file, std::size_t size)
{
    const auto at = [&](void *address) {
        return file ? HugeMemory::map(file.get(), size, address)
                    : HugeMemory::allocate(size, address);
    };
    auto memory = at(reinterpret_cast<void *>(ELISA_OBJECT_VA));
    if (!memory && memory.error().code == std::errc::file_exists) {
        return at(nullptr); // a second export of this process
    }
    return memory;
}

} // namespace

// The file's lock says whether a process manages the export: the kernel drops it with its holder.
Result<void> Export::open_file(bool create)
{
    const auto place = hugetlbfs();
    if (!place) {
        return create ? Result<void>{}
                      : make_error(Errc::no_entry, "no hugetlbfs is mounted, so no export of a "
                                                   "killed process can be found");
    }
    path_ = *place + "/elisa." + name_;
    file_ = UniqueFd{
        ::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0), 0600)};
    if (!file_) {
        const int error = errno;
        return error == ENOENT ? make_error(Errc::no_entry, "there is no " + path_)
                               : errno_error(error, path_);
    }
    if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
        const int error = errno;
        if (error == EWOULDBLOCK) {
            return Error{make_error_code(Errc::busy), "export '" + name_ +
                                                          "' is managed by another live process "
                                                          "of this VM (lock: " +
                                                          path_ + ")"};
        }
        return errno_error(error, path_);
    }
    return {};
}

Result<void> Export::map(std::size_t size)
{
    auto memory = object_memory(file_, size);
    if (!memory) {
        return std::move(memory).error();
    }
    memory_ = std::move(*memory);
    return {};
}

// Is this the memory of that export, made of this very image?
Result<void> Export::match(const Image &image, std::uint64_t id) const
{
    elisa_image_header header{};
    const bool fits = image.end() <= memory_.size();
    if (fits) {
        std::memcpy(&header, memory_.data() + data_offset_, sizeof(header));
    }
    bool same =
        fits && header.magic == ELISA_IMAGE_MAGIC && header.heap == ELISA_OBJECT_VA + heap_offset_;
    for (const Image::Segment &segment : image.segments()) {
        const auto bytes = image.bytes(segment);
        same =
            same && (segment.kind == ELISA_MAP_DATA ||
                     std::memcmp(memory_.data() + segment.offset, bytes.data(), bytes.size()) == 0);
    }
    if (!same) {
        return Error{make_error_code(Errc::bad_image),
                     "export '" + name_ +
                         "' was made of another build of the image; use that one, or end the "
                         "export on the host: elisactl export revoke"};
    }
    if (header.export_id != id) {
        return make_error(Errc::inconsistent, path_ + " is not the memory of export '" + name_ +
                                                  "'; end it on the host: elisactl export revoke");
    }
    return {};
}

// What an export of this image begins with, new or taken over: its name is good, there is a module
// to ask, and its file is locked by this process.
Result<Export> Export::begin(std::string_view name, const Image &image, bool create)
{
    const auto packed = doorbell::pack_name(name);
    if (!packed) {
        return packed.error();
    }
    const auto version = doorbell::probe();
    if (!version) {
        return version.error();
    }
    Export begun;
    begun.name_ = name;
    begun.packed_name_ = *packed;
    begun.data_offset_ = image.data().offset;
    begun.heap_offset_ = image.end();
    begun.entry_ = image.entry();
    if (auto opened = begun.open_file(create); !opened) {
        return std::move(opened).error();
    }
    return begun;
}

Result<Export> Export::open(std::string_view name, const Image &image, std::size_t heap_size)
{
    auto taken = take_over(name, image);
    if (taken || taken.error().code != Errc::no_entry) {
        return taken;
    }
    return create(name, image, heap_size);
}

Result<Export> Export::take_over(std::string_view name, const Image &image)
{
    auto begun = begin(name, image, false);
    if (!begun) {
        return begun;
    }
    Export &found = *begun;
    const std::string what = "taking export '" + found.name_ + "' over";
    const auto answer = doorbell::call(ELISA_CALL_EXPORT_TAKE_OVER,
                                       {.rbx = found.packed_name_[0],
                                        .rsi = found.packed_name_[1],
                                        .rdi = found.packed_name_[2],
                                        .r8 = found.packed_name_[3]},
                                       what);
    if (!answer) {
        return answer.error();
    }
    found.id_ = ExportId{answer->rbx};
    if (answer->r8 == 0) {
        // Its process was killed before anybody could attach.
        found.owner_ = ::getpid();
        static_cast<void>(found.destroy());
        return make_error(Errc::no_entry, what + ": it was never published");
    }
    struct stat about = {};
    if (::fstat(found.file_.get(), &about) != 0 ||
        static_cast<std::uint64_t>(about.st_size) != answer->rsi) {
        return make_error(Errc::inconsistent, what + ": " + found.path_ + " is not its memory");
    }
    if (auto mapped = found.map(answer->rsi); !mapped) {
        return std::move(mapped).error();
    }
    if (auto matched = found.match(image, answer->rdi); !matched) {
        return std::move(matched).error();
    }
    found.owner_ = ::getpid();
    found.taken_over_ = true;
    return begun;
}

Result<Export> Export::create(std::string_view name, const Image &image, std::size_t heap_size)
{
    if (heap_size > ELISA_OBJECT_MAX - image.end()) {
        return make_error(Errc::invalid, "a heap of " + std::to_string(heap_size) +
                                             " bytes is more than an object can be");
    }
    auto begun = begin(name, image, true);
    if (!begun) {
        return begun;
    }
    Export &made = *begun;
    const std::string what = "exporting '" + made.name_ + "'";
    const std::size_t size =
        (image.end() + heap_size + huge_page_size - 1) / huge_page_size * huge_page_size;
    const doorbell::Registers request{.rbx = made.packed_name_[0],
                                      .rsi = made.packed_name_[1],
                                      .rdi = made.packed_name_[2],
                                      .r8 = made.packed_name_[3],
                                      .r9 = size};
    auto created = doorbell::call(ELISA_CALL_EXPORT_CREATE, request, what);
    if (!created && created.error().code == Errc::exists && made.file_) {
        // By this VM, before it was reset? Its memory is in nobody's hands then.
        if (const auto stale = doorbell::call(ELISA_CALL_EXPORT_TAKE_OVER, request, what)) {
            static_cast<void>(doorbell::call(ELISA_CALL_EXPORT_DESTROY, {.rbx = stale->rbx}, what));
            created = doorbell::call(ELISA_CALL_EXPORT_CREATE, request, what);
        }
    }
    if (!created) {
        return created.error();
    }
    made.id_ = ExportId{created->rbx};
    made.owner_ = ::getpid();

    // The name is ours, so nobody uses what may be in the file.
    if (made.file_ && (::ftruncate(made.file_.get(), 0) != 0 ||
                       ::ftruncate(made.file_.get(), static_cast<off_t>(size)) != 0)) {
        return errno_error(errno, made.path_);
    }
    if (auto mapped = made.map(size); !mapped) {
        return std::move(mapped).error();
    }
    for (const Image::Segment &segment : image.segments()) {
        const auto bytes = image.bytes(segment);
        std::memcpy(made.memory_.data() + segment.offset, bytes.data(), bytes.size());
    }
    elisa_image_header header{};
    header.magic = ELISA_IMAGE_MAGIC;
    header.heap = ELISA_OBJECT_VA + made.heap_offset_;
    header.heap_size = made.memory_.size() - made.heap_offset_;
    header.export_id = created->rsi;
    std::memcpy(made.memory_.data() + made.data_offset_, &header, sizeof(header));

    const MemoryRange range = made.memory_.range();
    const auto runs = resolve(std::span{&range, 1});
    if (!runs) {
        return runs.error();
    }
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
    return begun;
}

Export::Export(Export &&other) noexcept
    : name_{std::move(other.name_)}, packed_name_{other.packed_name_}, id_{other.id_},
      file_{std::move(other.file_)}, path_{std::move(other.path_)}, memory_{std::move(
                                                                        other.memory_)},
      taken_over_{other.taken_over_}, resumed_{other.resumed_}, data_offset_{other.data_offset_},
      heap_offset_{other.heap_offset_}, entry_{other.entry_}, owner_{std::exchange(other.owner_, 0)}
{
}

Export &Export::operator=(Export &&other) noexcept
{
    std::swap(name_, other.name_);
    std::swap(packed_name_, other.packed_name_);
    std::swap(id_, other.id_);
    std::swap(file_, other.file_);
    std::swap(path_, other.path_);
    std::swap(memory_, other.memory_);
    std::swap(taken_over_, other.taken_over_);
    std::swap(resumed_, other.resumed_);
    std::swap(data_offset_, other.data_offset_);
    std::swap(heap_offset_, other.heap_offset_);
    std::swap(entry_, other.entry_);
    std::swap(owner_, other.owner_);
    return *this;
}

Export::~Export()
{
    if (!taken_over_ || resumed_) {
        static_cast<void>(destroy());
    }
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
    if (!path_.empty()) {
        ::unlink(path_.c_str());
    }
    if (!destroyed) {
        return destroyed.error();
    }
    return {};
}

Result<std::vector<Attached>> Export::attachments()
{
    const std::string what = "asking who is attached to export '" + name_ + "'";
    std::vector<Attached> all;
    for (std::uint64_t after = 0;;) {
        const auto next =
            doorbell::call(ELISA_CALL_ATTACHMENT_NEXT, {.rbx = id_.value(), .rsi = after}, what);
        if (!next) {
            return next.error();
        }
        after = next->rbx;
        if (after == 0) {
            return all;
        }
        if (next->rsi != ELISA_STATE_READY) {
            continue;
        }
        const auto label =
            doorbell::call(ELISA_CALL_EVENT_LABEL, {.rbx = id_.value(), .rsi = after}, what);
        if (label) {
            all.push_back({AttachmentId{after},
                           doorbell::unpack_name({label->rbx, label->rsi, label->rdi, label->r8}),
                           next->rdi, next->r8});
        } else if (label.error().code != Errc::no_entry) {
            return label.error();
        }
    }
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
    return wait(timeout, [](std::chrono::microseconds most) { std::this_thread::sleep_for(most); });
}

Result<std::optional<Event>> Export::wait(std::chrono::milliseconds timeout, const Pause &pause)
{
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    for (;;) {
        auto event = poll();
        if (!event || event->has_value()) {
            pause_ = shortest_pause;
            return event;
        }
        if (std::chrono::steady_clock::now() >= deadline) {
            return event;
        }
        pause(pause_);
        pause_ = std::min(pause_ * 2, longest_pause);
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
