// SPDX-License-Identifier: Apache-2.0
// Errors are values: a code for programs and a sentence for the person who has to
// do something about it.
#pragma once

#include "elisa_abi.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

namespace elisa {

// The errors of the ABI, and those that libelisa finds itself.
enum class Errc : int {
    bad_call = ELISA_E_BADCALL,
    role = ELISA_E_ROLE,
    invalid = ELISA_E_INVAL,
    no_entry = ELISA_E_NOENT,
    exists = ELISA_E_EXIST,
    refused = ELISA_E_REFUSED,
    state = ELISA_E_STATE,
    no_memory = ELISA_E_NOMEM,
    quota = ELISA_E_QUOTA,
    memory = ELISA_E_MEMORY,
    overlap = ELISA_E_OVERLAP,
    pcid = ELISA_E_PCID,
    mode = ELISA_E_MODE,
    host = ELISA_E_HOST,
    dead = ELISA_E_DEAD,
    nested = ELISA_E_NESTED,
    feature = ELISA_E_FEATURE,
    idt = ELISA_E_IDT,
    fault = ELISA_E_FAULT,
    budget = ELISA_E_BUDGET,
    intercept = ELISA_E_INTERCEPT,
    gate = ELISA_E_GATE,
    revoked = ELISA_E_REVOKED,
    reset = ELISA_E_RESET,
    interrupted = ELISA_E_INTERRUPTED,

    no_module = 1000, // nobody answers the doorbell
    not_permitted,    // no CAP_SYS_RAWIO / CAP_SYS_ADMIN
    abi_version,
    timeout,
    busy,         // a live process holds this attachment
    not_hugetlb,  // memory that the guest kernel may move
    bad_image,    // not an ELF image for the sub context
    inconsistent, // the module broke its word
};

[[nodiscard]] const std::error_category &category() noexcept;
[[nodiscard]] std::error_code make_error_code(Errc code) noexcept;

// "ELISA_E_PCID" and the like, for logs and results; "" if there is none.
[[nodiscard]] std::string_view abi_error_name(std::int64_t status) noexcept;

struct Error {
    std::error_code code;
    std::string message;
};

[[nodiscard]] Error make_error(Errc code, std::string message);
// From errno, captured by the caller: "what: strerror".
[[nodiscard]] Error errno_error(int error_number, std::string what);
// From a doorbell's negative answer: says what was tried and what to do about it.
[[nodiscard]] Error abi_error(std::int64_t status, std::string what);

template <class T>
class [[nodiscard]] Result {
    static_assert(!std::is_reference_v<T> && !std::is_same_v<std::remove_cv_t<T>, Error>);

  public:
    // Implicit, so that `return value;` and `return error;` both do.
    // NOLINTBEGIN(google-explicit-constructor)
    Result(T value) : state_{std::in_place_index<0>, std::move(value)} {}
    Result(Error error) : state_{std::in_place_index<1>, std::move(error)} {}
    // NOLINTEND(google-explicit-constructor)

    [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    [[nodiscard]] T &value() & { return std::get<0>(state_); }
    [[nodiscard]] const T &value() const & { return std::get<0>(state_); }
    [[nodiscard]] T &&value() && { return std::get<0>(std::move(state_)); }
    T &operator*() & { return value(); }
    const T &operator*() const & { return value(); }
    T &&operator*() && { return std::move(*this).value(); }
    T *operator->() { return &value(); }
    const T *operator->() const { return &value(); }

    [[nodiscard]] const Error &error() const & { return std::get<1>(state_); }
    [[nodiscard]] Error &&error() && { return std::get<1>(std::move(state_)); }

    template <class U>
    [[nodiscard]] T value_or(U &&fallback) const &
    {
        return has_value() ? value() : static_cast<T>(std::forward<U>(fallback));
    }

    // f: T -> Result<U>
    template <class F>
    [[nodiscard]] auto and_then(F &&f) && -> std::invoke_result_t<F, T &&>
    {
        if (has_value()) {
            return std::forward<F>(f)(std::move(*this).value());
        }
        return std::move(*this).error();
    }

  private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    // NOLINTNEXTLINE(google-explicit-constructor)
    Result(Error error) : error_{std::move(error)} {}

    [[nodiscard]] bool has_value() const noexcept { return !error_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }
    [[nodiscard]] const Error &error() const & { return error_.value(); }
    [[nodiscard]] Error &&error() && { return std::move(error_).value(); }

  private:
    std::optional<Error> error_;
};

} // namespace elisa

template <>
struct std::is_error_code_enum<elisa::Errc> : std::true_type {
};
