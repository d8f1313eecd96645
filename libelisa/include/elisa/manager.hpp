// SPDX-License-Identifier: Apache-2.0
// The manager's half: put an image and memory under a name, admit those who ask.
//
//     auto image = elisa::Image::load("hello.elf");
//     auto made = elisa::Export::open("hello", *image, 1 << 20);
//     if (made->taken_over()) { look at made->heap(); made->resume(); }
//     else { lay out made->heap(); made->publish(); }
//     for (;;) { auto event = made->poll(); ... made->admit(*event, arg); }
#pragma once

#include "elisa/doorbell.hpp"
#include "elisa/error.hpp"
#include "elisa/image.hpp"
#include "elisa/memory.hpp"
#include "elisa/types.hpp"
#include "elisa/unique_fd.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>
#include <variant>
#include <vector>

namespace elisa {

struct AttachEvent {
    std::string label; // given to the VM by its host's administrator
    std::uint64_t instance;
};
struct DetachEvent { // with it, its regions are gone
};
struct RegionAddEvent {
    RegionId region;
    SubVa address;
    std::uint64_t length;
};
struct RegionDelEvent { // until the answer the region's addresses are a scratch page
    RegionId region;
};

struct Event {
    std::uint64_t sequence;
    AttachmentId attachment;
    std::variant<AttachEvent, DetachEvent, RegionAddEvent, RegionDelEvent> what;
};

// An attachment that was there when this process took the export over.
struct Attached {
    AttachmentId id;
    std::string label;
    std::uint64_t instance;
    std::uint64_t arg; // as it was admitted with
};

class Export {
  public:
    // Takes over the export of this name that a killed process of this VM has left, with all who
    // are attached and what they have in its memory, or creates it. Error: busy (a live process
    // manages it), bad_image (it was made of another build of the image).
    [[nodiscard]] static Result<Export> open(std::string_view name, const Image &image,
                                             std::size_t heap_size);

    // The image's memory and a heap of at least `heap_size` bytes are 2 MB pages of this process,
    // at ELISA_OBJECT_VA here too if that is free: a pointer in the object then means the same to
    // the manager and to the image. Not callable by anyone before publish(). Where a hugetlbfs is
    // mounted the pages are of a file there (elisa.NAME), which outlives the process.
    [[nodiscard]] static Result<Export> create(std::string_view name, const Image &image,
                                               std::size_t heap_size);

    Export(Export &&other) noexcept;
    Export &operator=(Export &&other) noexcept;
    Export(const Export &) = delete;
    Export &operator=(const Export &) = delete;
    // Destroys the export: calls of its attachments return ELISA_E_DEAD. One that was taken over is
    // left as it is unless it was resumed.
    ~Export();

    // No error: no_entry (there is none that could be taken over).
    [[nodiscard]] static Result<Export> take_over(std::string_view name, const Image &image);

    [[nodiscard]] bool taken_over() const noexcept { return taken_over_; }
    // Those that are admitted.
    [[nodiscard]] Result<std::vector<Attached>> attachments();
    // From now on this process manages what it has taken over: to be called when nothing that it
    // needs for that can fail any more. A manager that ends before, for whatever reason, has harmed
    // nobody: guests go on, and the next one can take the export over.
    void resume() noexcept { resumed_ = true; }

    Result<void> publish();
    Result<void> destroy();

    // The event at the head of the queue, until it is answered.
    [[nodiscard]] Result<std::optional<Event>> poll();
    // Sleeps for so long at the most, or does something else meanwhile.
    using Pause = std::function<void(std::chrono::microseconds most)>;
    // Waits for one; nullopt after `timeout`. Looks for it now and then, and pauses between two
    // looks: the longer, the longer nothing has come, in this call and those before it.
    static constexpr std::chrono::microseconds shortest_pause{50}, longest_pause{20'000};
    [[nodiscard]] Result<std::optional<Event>> wait(std::chrono::milliseconds timeout);
    [[nodiscard]] Result<std::optional<Event>> wait(std::chrono::milliseconds timeout,
                                                    const Pause &pause);

    // Answers. `arg` is the first argument of the image for this attachment.
    Result<void> admit(const Event &event, std::uint64_t arg);
    Result<void> refuse(const Event &event, elisa_error verdict = ELISA_E_REFUSED);
    Result<void> done(const Event &event); // of a region event or a detach

    [[nodiscard]] const std::string &name() const noexcept { return name_; }
    [[nodiscard]] ExportId id() const noexcept { return id_; }

    // The memory behind the image, which image and manager share. Writes by guests' calls appear
    // at any time: what is read here is theirs to corrupt if the image lets them.
    [[nodiscard]] std::span<std::byte> heap() const noexcept;
    [[nodiscard]] bool same_addresses() const noexcept;
    // nullptr if [address, address + length) is not in the object's data.
    [[nodiscard]] std::byte *local(SubVa address, std::size_t length) const noexcept;
    [[nodiscard]] std::optional<SubVa> sub_address(const void *local) const noexcept;

  private:
    Export() = default;
    [[nodiscard]] static Result<Export> begin(std::string_view name, const Image &image,
                                              bool create);
    [[nodiscard]] Result<void> open_file(bool create);
    [[nodiscard]] Result<void> map(std::size_t size);
    [[nodiscard]] Result<void> match(const Image &image, std::uint64_t id) const;
    Result<void> reply(const Event &event, std::int64_t verdict, std::uint64_t arg);

    std::string name_;
    doorbell::PackedName packed_name_{};
    ExportId id_;
    UniqueFd file_; // of the memory, locked while this process manages it
    std::string path_;
    HugeMemory memory_;
    bool taken_over_ = false;
    bool resumed_ = false;
    std::uint64_t data_offset_ = 0; // of the DATA part, in the object
    std::uint64_t heap_offset_ = 0;
    std::uint64_t entry_ = 0;
    pid_t owner_ = 0;                                  // 0: nothing to destroy
    std::chrono::microseconds pause_ = shortest_pause; // the next one
};

} // namespace elisa
