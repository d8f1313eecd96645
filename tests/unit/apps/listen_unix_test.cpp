// SPDX-License-Identifier: Apache-2.0
// What listen_unix() takes away from others: a dead one's socket, and nothing else.
#include "listen_unix.hpp"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace {

using apps::Access;
using apps::listen_unix;
using elisa::UniqueFd;

class ListenUnix : public testing::Test {
  protected:
    ListenUnix()
    {
        std::string name = testing::TempDir() + "listen_unix.XXXXXX";
        folder_ = ::mkdtemp(name.data());
        path = folder_ / "socket";
    }
    ~ListenUnix() override { std::filesystem::remove_all(folder_); }

    [[nodiscard]] UniqueFd bound(int type) const
    {
        const sockaddr_un at = address();
        UniqueFd fd{::socket(AF_UNIX, type, 0)};
        EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr *>(&at), sizeof at), 0);
        return fd;
    }

    // 0 or an errno.
    [[nodiscard]] int connect(const UniqueFd &socket) const
    {
        const sockaddr_un at = address();
        return ::connect(socket.get(), reinterpret_cast<const sockaddr *>(&at), sizeof at) == 0
                   ? 0
                   : errno;
    }

    [[nodiscard]] static UniqueFd client(int type)
    {
        return UniqueFd{::socket(AF_UNIX, type | SOCK_NONBLOCK, 0)};
    }

    [[nodiscard]] struct stat status() const
    {
        struct stat st {};
        EXPECT_EQ(::lstat(path.c_str(), &st), 0);
        return st;
    }

    void expect_refused(const std::string &why) const
    {
        for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
            const auto before = status();
            const auto listener = listen_unix(path, type, Access::owner);
            ASSERT_FALSE(listener);
            EXPECT_NE(listener.error().message.find(why), std::string::npos)
                << listener.error().message;
            EXPECT_EQ(status().st_ino, before.st_ino);
            EXPECT_EQ(status().st_mode, before.st_mode);
        }
    }

    std::filesystem::path path;

  private:
    [[nodiscard]] sockaddr_un address() const
    {
        sockaddr_un at{};
        at.sun_family = AF_UNIX;
        path.native().copy(at.sun_path, sizeof(at.sun_path) - 1);
        return at;
    }

    std::filesystem::path folder_;
};

TEST_F(ListenUnix, ModeIsTheOwnersOrTheUmasks)
{
    const mode_t before = ::umask(027);
    for (const auto &[access, mode] : {std::pair{Access::owner, 0600u}, {Access::umask, 0750u}}) {
        const auto listener = listen_unix(path, SOCK_STREAM, access);
        EXPECT_TRUE(listener);
        EXPECT_EQ(status().st_mode & 07777, mode);
        EXPECT_EQ(connect(client(SOCK_STREAM)), 0);
    }
    ::umask(before);
}

TEST_F(ListenUnix, WhatADeadOneLeftIsReplaced)
{
    for (const int left : {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM}) {
        for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
            static_cast<void>(bound(left));
            const auto listener = listen_unix(path, type, Access::owner);
            ASSERT_TRUE(listener) << listener.error().message;
            EXPECT_EQ(connect(client(type)), 0);
            std::filesystem::remove(path);
        }
    }
}

TEST_F(ListenUnix, WhoListensIsLeftAlone)
{
    for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
        const auto first = listen_unix(path, type, Access::owner);
        ASSERT_TRUE(first) << first.error().message;
        expect_refused("is in use");
        EXPECT_EQ(connect(client(type)), 0);
        std::filesystem::remove(path);
    }
    const UniqueFd datagrams = bound(SOCK_DGRAM);
    expect_refused("is in use");
}

TEST_F(ListenUnix, WhoHangsIsLeftAloneAndNotWaitedFor)
{
    const UniqueFd first = bound(SOCK_SEQPACKET);
    ASSERT_EQ(::listen(first.get(), 0), 0);
    const UniqueFd waits = client(SOCK_SEQPACKET);
    ASSERT_EQ(connect(waits), 0);
    ASSERT_EQ(connect(client(SOCK_SEQPACKET)), EAGAIN);
    expect_refused("is in use");
}

TEST_F(ListenUnix, WhatIsNoSocketIsLeftAlone)
{
    std::ofstream{path} << "text";
    expect_refused("is no socket");
    EXPECT_EQ(std::filesystem::file_size(path), 4u);
    std::filesystem::remove(path);

    std::filesystem::create_symlink("nowhere", path);
    expect_refused("is no socket");
    std::filesystem::remove(path);

    std::filesystem::create_directory(path);
    expect_refused("is no socket");
}

TEST_F(ListenUnix, APathThatCannotBeIsExplained)
{
    const auto in_no_folder = listen_unix(path / "below", SOCK_STREAM, Access::owner);
    ASSERT_FALSE(in_no_folder);
    EXPECT_NE(in_no_folder.error().message.find("cannot listen at"), std::string::npos);
    const auto long_one = listen_unix(std::string(108, 'x'), SOCK_STREAM, Access::owner);
    ASSERT_FALSE(long_one);
    EXPECT_NE(long_one.error().message.find("too long"), std::string::npos);
}

} // namespace
