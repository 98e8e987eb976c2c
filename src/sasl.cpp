// SASL mechanisms by Cyrus: DIGEST-MD5 and GSSAPI, with the parameters that ZooKeeper servers
// expect. Knows no ZooKeeper frames and no sockets; the exchange is src/engine_sasl.cpp.

#include <coati/auth.hpp>
#include <coati/config.hpp>
#include <coati/sasl.hpp>

#include <sasl/sasl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

namespace coati::cyrus {

namespace {

using callback_function = int (*)();

template <class Function>
sasl_callback_t callback(unsigned long id, Function* f, void* context) noexcept
{
    // Cyrus has one type for all of them, and calls each as what its id says.
    return {id, reinterpret_cast<callback_function>(reinterpret_cast<void*>(f)), context};
}

// Otherwise Cyrus tells the system's log who tried what.
int on_log(void*, int, const char*)
{
    return SASL_OK;
}

}  // namespace

/// User and password, in the form that Cyrus asks for. Overwritten at the end.
class identity {
public:
    identity(std::string user, std::string& password) : user_(std::move(user))
    {
        secret_.resize(sizeof(sasl_secret_t) + password.size() + 1);
        auto* const secret = this->secret();
        secret->len = password.size();
        std::memcpy(secret->data, password.data(), password.size());
        wipe(password);
    }
    ~identity() { wipe(reinterpret_cast<char*>(secret_.data()), secret_.size()); }
    identity(const identity&) = delete;
    identity& operator=(const identity&) = delete;

    const std::string& user() const noexcept { return user_; }
    sasl_secret_t* secret() noexcept { return reinterpret_cast<sasl_secret_t*>(secret_.data()); }

private:
    std::string user_;
    std::vector<unsigned char> secret_;
};

namespace {

int on_simple(void* context, int id, const char** into, unsigned* length)
{
    const auto& who = *static_cast<const identity*>(context);
    // As whom we act is decided by the server from who we are.
    const bool is_wanted = id == SASL_CB_AUTHNAME;
    *into = is_wanted ? who.user().c_str() : "";
    if (length != nullptr) {
        *length = is_wanted ? static_cast<unsigned>(who.user().size()) : 0U;
    }
    return SASL_OK;
}

int on_secret(sasl_conn_t*, void* context, int, sasl_secret_t** into)
{
    *into = static_cast<identity*>(context)->secret();
    return SASL_OK;
}

int on_realm(void*, int, const char** available, const char** into)
{
    *into = available != nullptr && available[0] != nullptr ? available[0] : "";
    return SASL_OK;
}

bool begin() noexcept
{
    static std::once_flag once;
    static bool works = false;
    std::call_once(once, [] {
        static const std::array<sasl_callback_t, 2> callbacks{
            callback(SASL_CB_LOG, &on_log, nullptr), sasl_callback_t{SASL_CB_LIST_END, {}, {}}};
        works = sasl_client_init(callbacks.data()) == SASL_OK;
    });
    return works;
}

bool has_mechanism(std::string_view name) noexcept
{
    if (!begin()) {
        return false;
    }
    const char** const all = sasl_global_listmech();
    for (std::size_t i = 0; all != nullptr && all[i] != nullptr; ++i) {
        if (name == all[i]) {
            return true;
        }
    }
    return false;
}

class sasl_category final : public boost::system::error_category {
public:
    const char* name() const noexcept override { return "sasl"; }
    std::string message(int value) const override
    {
        const char* const text = sasl_errstring(value, nullptr, nullptr);
        return text != nullptr ? text : "unknown";
    }
};

error failure(int code)
{
    static const sasl_category category;
    return error(errc::auth_failed, fate::not_applied, {code, category});
}

class mechanism final : public sasl_mechanism {
public:
    mechanism(const char* name, std::string service, std::string host,
              std::shared_ptr<identity> who)
        : name_(name), service_(std::move(service)), host_(std::move(host)), who_(std::move(who))
    {
        callbacks_[0] = callback(SASL_CB_LOG, &on_log, nullptr);
        callbacks_[1] = sasl_callback_t{SASL_CB_LIST_END, {}, {}};
        if (who_ != nullptr) {
            callbacks_[1] = callback(SASL_CB_USER, &on_simple, who_.get());
            callbacks_[2] = callback(SASL_CB_AUTHNAME, &on_simple, who_.get());
            callbacks_[3] = callback(SASL_CB_PASS, &on_secret, who_.get());
            callbacks_[4] = callback(SASL_CB_GETREALM, &on_realm, nullptr);
            callbacks_[5] = sasl_callback_t{SASL_CB_LIST_END, {}, {}};
        }
    }
    ~mechanism() override { sasl_dispose(&connection_); }
    mechanism(const mechanism&) = delete;
    mechanism& operator=(const mechanism&) = delete;

    result<std::string> start() override
    {
        int r = sasl_client_new(service_.c_str(), host_.c_str(), nullptr, nullptr,
                                callbacks_.data(), 0, &connection_);
        if (r != SASL_OK) {
            return failure(r);
        }
        sasl_security_properties_t plain{};  // authentication alone: TLS protects better
        plain.maxbufsize = 65'536;
        sasl_setprop(connection_, SASL_SEC_PROPS, &plain);
        const char* out = nullptr;
        unsigned length = 0;
        const char* chosen = nullptr;
        r = sasl_client_start(connection_, name_, nullptr, &out, &length, &chosen);
        if (r != SASL_OK && r != SASL_CONTINUE) {
            return failure(r);
        }
        complete_ = r == SASL_OK;
        return std::string(out == nullptr ? "" : out, length);
    }

    result<std::optional<std::string>> step(std::string_view challenge) override
    {
        const char* out = nullptr;
        unsigned length = 0;
        const int r =
            sasl_client_step(connection_, challenge.data(), static_cast<unsigned>(challenge.size()),
                             nullptr, &out, &length);
        if (r != SASL_OK && r != SASL_CONTINUE) {
            return failure(r);
        }
        complete_ = r == SASL_OK;
        if (complete_ && (out == nullptr || length == 0)) {
            return std::optional<std::string>();
        }
        return std::optional<std::string>(std::in_place, out == nullptr ? "" : out, length);
    }

    bool is_complete() const noexcept override { return complete_; }
    std::string explain() const override
    {
        const char* const words = connection_ != nullptr ? sasl_errdetail(connection_) : nullptr;
        std::string line(words != nullptr ? words : "");
        std::replace(line.begin(), line.end(), '\n', ' ');
        return line;
    }

private:
    const char* name_;
    std::string service_;
    std::string host_;
    std::shared_ptr<identity> who_;
    std::array<sasl_callback_t, 6> callbacks_{};
    sasl_conn_t* connection_ = nullptr;
    bool complete_ = false;
};

}  // namespace
}  // namespace coati::cyrus

namespace coati {

result<sasl_factory> sasl_digest_md5(std::string user, std::string password)
{
    const bool has_nul =
        user.find('\0') != std::string::npos || password.find('\0') != std::string::npos;
    const bool is_legal = !user.empty() && !has_nul;
    auto who = std::make_shared<cyrus::identity>(std::move(user), password);
    if (!is_legal) {
        return error(errc::invalid_argument);
    }
    if (!cyrus::has_mechanism("DIGEST-MD5")) {
        return error(errc::unimplemented);
    }
    // Server name and service are constants of ZooKeeper: every server says the same realm.
    return sasl_factory([who](const server_address&) -> std::unique_ptr<sasl_mechanism> {
        return std::make_unique<cyrus::mechanism>("DIGEST-MD5", "zookeeper", "zk-sasl-md5", who);
    });
}

result<sasl_factory> sasl_gssapi(std::string service)
{
    if (service.empty() || service.find('\0') != std::string::npos) {
        return error(errc::invalid_argument);
    }
    if (!cyrus::has_mechanism("GSSAPI")) {
        return error(errc::unimplemented);
    }
    return sasl_factory([service](const server_address& to) -> std::unique_ptr<sasl_mechanism> {
        return std::make_unique<cyrus::mechanism>("GSSAPI", service, to.host, nullptr);
    });
}

}  // namespace coati
