// SPDX-License-Identifier: Apache-2.0
#include "ivshmem.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <string>
#include <unistd.h>

namespace probes {
namespace {

constexpr off_t command_register = 4;
constexpr std::uint16_t memory_space = 2;
constexpr off_t rom_register = 0x30;
constexpr std::uint32_t rom_enable = 1;

} // namespace

elisa::Result<std::vector<Ivshmem>> Ivshmem::all()
{
    std::vector<std::filesystem::path> paths;
    std::error_code error;
    for (const auto &entry : std::filesystem::directory_iterator{"/sys/bus/pci/devices", error}) {
        std::string vendor;
        std::string device;
        std::ifstream{entry.path() / "vendor"} >> vendor;
        std::ifstream{entry.path() / "device"} >> device;
        if (vendor == "0x1af4" && device == "0x1110") {
            paths.push_back(entry.path());
        }
    }
    std::ranges::sort(paths);
    std::vector<Ivshmem> found;
    for (const auto &path : paths) {
        const auto file = path / "config";
        elisa::UniqueFd fd{::open(file.c_str(), O_RDWR | O_CLOEXEC)};
        if (!fd) {
            return elisa::errno_error(errno, file.string());
        }
        found.push_back(Ivshmem{path, std::move(fd)});
    }
    if (found.empty()) {
        return elisa::make_error(elisa::Errc::no_entry,
                                 "no ivshmem device: start QEMU with -object memory-backend-ram,"
                                 "id=m,size=1M,share=on -device ivshmem-plain,memdev=m");
    }
    return found;
}

bool Ivshmem::set_memory_space(bool on) const
{
    std::uint16_t command = 0;
    if (::pread(config_.get(), &command, sizeof(command), command_register) != sizeof(command)) {
        return false;
    }
    command = static_cast<std::uint16_t>(on ? command | memory_space : command & ~memory_space);
    std::uint16_t after = 0;
    return ::pwrite(config_.get(), &command, sizeof(command), command_register) ==
               sizeof(command) &&
           ::pread(config_.get(), &after, sizeof(after), command_register) == sizeof(after) &&
           after == command;
}

bool Ivshmem::enable_rom() const
{
    const auto at = static_cast<std::uint32_t>(rom()) | rom_enable;
    std::uint32_t after = 0;
    return at != rom_enable &&
           ::pwrite(config_.get(), &at, sizeof(at), rom_register) == sizeof(at) &&
           ::pread(config_.get(), &after, sizeof(after), rom_register) == sizeof(after) &&
           after == at;
}

// A line of three numbers for each; the first is where it begins.
std::uint64_t Ivshmem::resource(unsigned number) const
{
    std::ifstream table{path_ / "resource"};
    std::string line;
    for (unsigned i = 0; i <= number; ++i) {
        if (!std::getline(table, line)) {
            return 0;
        }
    }
    return std::strtoull(line.c_str(), nullptr, 16);
}

} // namespace probes
