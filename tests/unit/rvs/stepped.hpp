// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_RVS_STEPPED_HPP
#define TESTS_RVS_STEPPED_HPP

#include <cstdint>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

namespace rvs::test {

// One call, instruction by instruction.
class Stepped {
  public:
    template <typename Body>
    explicit Stepped(Body body) : pid_{fork()}
    {
        if (pid_ == 0) {
            if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0)
                _exit(1);
            raise(SIGSTOP);
            body();
            _exit(0);
        }
        alive_ = waited();
    }
    ~Stepped()
    {
        if (alive_) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
        }
    }
    Stepped(const Stepped &) = delete;
    Stepped &operator=(const Stepped &) = delete;

    [[nodiscard]] bool alive() const { return alive_; }
    void step()
    {
        ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
        alive_ = waited();
    }
    // Its stack pointer: how far down it is.
    [[nodiscard]] std::uint64_t stack() const
    {
        user_regs_struct registers{};
        ptrace(PTRACE_GETREGS, pid_, nullptr, &registers);
        return registers.rsp;
    }
    // As fast as it goes, to the end.
    void finish()
    {
        while (alive_) {
            ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
            alive_ = waited();
        }
    }

  private:
    bool waited()
    {
        int status = 0;
        waitpid(pid_, &status, 0);
        return WIFSTOPPED(status);
    }
    pid_t pid_;
    bool alive_ = false;
};

} // namespace rvs::test

#endif // TESTS_RVS_STEPPED_HPP
