// Credentials: what a connection shows a server to be somebody. Kept to be shown again on every
// connection, overwritten in memory when nobody needs them any more, and in no text of ours.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace coati {

/// Overwrites the bytes in a way that no optimizer leaves out.
void wipe(char* bytes, std::size_t count) noexcept;
/// Overwrites the whole of the buffer that the string has, and leaves it empty.
void wipe(std::string& text) noexcept;

/// Bytes that are overwritten when they are destroyed, moved from or assigned to.
class secret {
public:
    secret() = default;
    /// Takes the bytes and overwrites the argument's own buffer.
    explicit secret(std::string bytes) : bytes_(bytes) { wipe(bytes); }
    /// A second copy, overwritten at its own end.
    secret(const secret& other) = default;
    /// Leaves nothing in `other`.
    secret(secret&& other) noexcept { bytes_.swap(other.bytes_); }
    /// What was here is overwritten.
    secret& operator=(secret other) noexcept
    {
        bytes_.swap(other.bytes_);
        return *this;
    }
    ~secret() { wipe(bytes_); }

    /// The bytes, valid as long as this object is and is not assigned to.
    std::string_view view() const noexcept { return bytes_; }

    friend bool operator==(const secret&, const secret&) = default;

private:
    std::string bytes_;
};

/// What an authentication provider of the server is told: a scheme and its credentials.
class auth_info {
public:
    /// Any scheme with its credentials, in the form that the scheme's provider wants.
    auth_info(std::string which_scheme, std::string credentials)
        : scheme(std::move(which_scheme)), data(std::move(credentials))
    {
        wipe(credentials);  // a short text is copied by a move, not handed over
    }

    /// "digest". Servers do not verify anything here: a wrong password is another identity, and
    /// shows as no_auth on the operation that needs the right one.
    static auth_info digest(std::string_view user, std::string_view password);

    std::string scheme;  ///< "digest", "x509", "ip", or what a provider of the server calls itself.
    secret data;         ///< The credentials; of a digest `user:password`.

    friend bool operator==(const auth_info&, const auth_info&) = default;
};

}  // namespace coati
