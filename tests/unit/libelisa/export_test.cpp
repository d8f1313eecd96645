// SPDX-License-Identifier: Apache-2.0
// What becomes of an export when its manager ends: whoever is attached must not notice a manager
// that could not start. The module and the 2 MB pages are played by this file.
#include "elisa/doorbell.hpp"
#include "elisa/manager.hpp"
#include "serve.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

// elisa.ko, as far as managers of one export ask it.
struct Module {
    bool there = false; // the export
    bool published = false;
    bool answers = true; // who is attached
    bool event = false;  // a detach that waits for its answer
    std::uint64_t size = 0;
};

Module elisa_ko;
std::string place; // of the memory's file

} // namespace

namespace elisa {

namespace doorbell {

Result<Version> probe()
{
    return Version{ELISA_ABI_VERSION, ELISA_ROLE_MANAGER};
}

Result<Registers> call(elisa_call number, const Registers &arguments, std::string_view what)
{
    constexpr std::uint64_t id = 7;
    const Error refusal = make_error(Errc::no_entry, std::string{what});
    switch (number) {
    case ELISA_CALL_EXPORT_CREATE:
        elisa_ko.there = true;
        elisa_ko.size = arguments.r9;
        return Registers{.rbx = 1, .rsi = id};
    case ELISA_CALL_EXPORT_TAKE_OVER:
        return elisa_ko.there
                   ? Result<Registers>{Registers{
                         .rbx = 1, .rsi = elisa_ko.size, .rdi = id, .r8 = elisa_ko.published}}
                   : refusal;
    case ELISA_CALL_EXPORT_PUBLISH:
        elisa_ko.published = true;
        return Registers{};
    case ELISA_CALL_EXPORT_DESTROY:
        elisa_ko = {};
        return Registers{};
    case ELISA_CALL_EVENT_POLL:
        return Registers{.rbx = elisa_ko.event ? ELISA_EVENT_DETACH : ELISA_EVENT_NONE};
    case ELISA_CALL_ATTACHMENT_NEXT:
        return elisa_ko.answers ? Result<Registers>{Registers{}} : refusal;
    default:
        return Registers{};
    }
}

Result<PackedName> pack_name(std::string_view)
{
    return PackedName{1};
}

std::string unpack_name(const PackedName &)
{
    return "x";
}

} // namespace doorbell

std::optional<std::string> hugetlbfs()
{
    return place;
}

Result<std::vector<GpaRun>> resolve(std::span<const MemoryRange> ranges)
{
    return std::vector{GpaRun{Gpa{0}, ranges.front().length}};
}

Result<HugeMemory> HugeMemory::map(int file, std::size_t length, void *)
{
    void *const data =
        ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
    if (data == MAP_FAILED) {
        return errno_error(errno, "mmap");
    }
    return HugeMemory{static_cast<std::byte *>(data), length};
}

Result<HugeMemory> HugeMemory::allocate(std::size_t, void *)
{
    return make_error(Errc::no_memory, "there is a file system for it");
}

HugeMemory::~HugeMemory()
{
    if (data_ != nullptr) {
        ::munmap(data_, size_);
    }
}

} // namespace elisa

namespace {

using elisa::Export;

class ExportEnds : public testing::Test {
  protected:
    ExportEnds()
    {
        elisa_ko = {};
        char folder[] = "/tmp/elisa-export-XXXXXX";
        place = ::mkdtemp(folder);
    }
    ~ExportEnds() override { std::filesystem::remove_all(place); }
    ExportEnds(const ExportEnds &) = delete;
    ExportEnds &operator=(const ExportEnds &) = delete;

    [[nodiscard]] Export open() const
    {
        auto opened = Export::open("x", image_, 4096);
        EXPECT_TRUE(opened) << opened.error().message;
        return std::move(*opened);
    }
    // What a killed manager leaves: all but its destructors have run.
    void leave_one() const
    {
        Export made = open();
        made.heap()[0] = std::byte{42};
        ASSERT_TRUE(made.publish());
        const Module before = elisa_ko;
        const std::string file = place + "/elisa.x";
        const std::string kept = place + "/kept";
        std::filesystem::create_hard_link(file, kept);
        ASSERT_TRUE(made.destroy());
        std::filesystem::rename(kept, file);
        elisa_ko = before;
    }
    static bool left()
    {
        return elisa_ko.there && elisa_ko.published && std::filesystem::exists(place + "/elisa.x");
    }

  private:
    elisa::Image image_ = *elisa::Image::load(ELISA_TEST_IMAGE);
};

TEST_F(ExportEnds, ANewOneEndsWithItsManager)
{
    for (const bool published : {false, true}) {
        {
            Export made = open();
            EXPECT_FALSE(made.taken_over());
            if (published) {
                ASSERT_TRUE(made.publish());
            }
            EXPECT_TRUE(elisa_ko.there);
        }
        EXPECT_FALSE(elisa_ko.there) << published;
        EXPECT_FALSE(std::filesystem::exists(place + "/elisa.x")) << published;
    }
}

TEST_F(ExportEnds, AManagerThatTookOneOverAndCouldNotStartLeavesIt)
{
    leave_one();
    for (int attempt = 0; attempt < 2; ++attempt) {
        const Export taken = open();
        EXPECT_TRUE(taken.taken_over());
    }
    ASSERT_TRUE(left());
    try {
        Export taken = open();
        const Export moved = std::move(taken);
        throw std::runtime_error("no memory, say");
    } catch (const std::runtime_error &) {
        ASSERT_TRUE(left());
    }
    const Export taken = open();
    EXPECT_TRUE(taken.taken_over());
    EXPECT_EQ(taken.heap()[0], std::byte{42});
}

TEST_F(ExportEnds, OneThatWasTakenOverAndResumedEndsWithItsManager)
{
    leave_one();
    {
        Export taken = open();
        taken.resume();
        const Export moved = std::move(taken);
        EXPECT_TRUE(left());
    }
    EXPECT_FALSE(elisa_ko.there);
    EXPECT_FALSE(std::filesystem::exists(place + "/elisa.x"));
}

TEST_F(ExportEnds, OneThatWasTakenOverCanBeDestroyedOnPurpose)
{
    leave_one();
    Export taken = open();
    ASSERT_TRUE(taken.destroy());
    EXPECT_FALSE(elisa_ko.there);
}

TEST_F(ExportEnds, TheLongerNothingComesTheLessOftenItIsLookedFor)
{
    using std::chrono::microseconds;
    Export idle = open();
    ASSERT_TRUE(idle.publish());
    std::vector<microseconds> pauses;
    const auto wait = [&] {
        // Each call has its time up after one pause, or two: what it has learnt is to last.
        const auto event = idle.wait(std::chrono::milliseconds{1}, [&](microseconds most) {
            pauses.push_back(most);
            std::this_thread::sleep_for(std::chrono::milliseconds{2});
        });
        ASSERT_TRUE(event);
        EXPECT_EQ(event->has_value(), elisa_ko.event);
    };
    while (pauses.size() < 12) {
        wait();
    }
    EXPECT_TRUE(std::is_sorted(pauses.begin(), pauses.end()));
    EXPECT_EQ(pauses.front(), Export::shortest_pause);
    EXPECT_EQ(pauses.back(), Export::longest_pause);
    elisa_ko.event = true;
    wait();
    elisa_ko.event = false;
    wait();
    EXPECT_EQ(pauses.back(), Export::shortest_pause);
}

class Nobody final : public apps::Service {
  public:
    elisa::Result<std::uint64_t> attach(elisa::AttachmentId, const elisa::AttachEvent &) override
    {
        return 0;
    }
    void detach(elisa::AttachmentId) override {}
    elisa::Result<void> region_add(elisa::AttachmentId, const elisa::RegionAddEvent &) override
    {
        return {};
    }
    void region_del(elisa::AttachmentId, const elisa::RegionDelEvent &) override {}
};

TEST_F(ExportEnds, AManagersLoopResumesOnceItKnowsWhoIsAttached)
{
    const std::atomic<bool> stop{true};
    Nobody service;
    leave_one();
    {
        elisa_ko.answers = false;
        Export taken = open();
        EXPECT_FALSE(apps::serve(taken, service, stop, {}));
    }
    EXPECT_TRUE(left());
    {
        elisa_ko.answers = true;
        Export taken = open();
        EXPECT_TRUE(apps::serve(taken, service, stop, {}));
    }
    EXPECT_FALSE(elisa_ko.there) << "it was told to stop";
}

} // namespace
