# shellcheck shell=bash
# What the project needs from the distribution, and how it gets there. Sourced by ./dev.

# The one list: name, then the oldest version that will do, if that matters. A name with bars is a
# choice: the first that the distribution has.
# shellcheck disable=SC2034 # used by who sources this
build_packages=(
    g++ ninja-build pkg-config ccache python3 meson:1.3 'libboost1.83-dev|libboost-dev:1.83'
    nlohmann-json3-dev:3.10
)
# shellcheck disable=SC2034
packages=(
    "${build_packages[@]}" git catch2:3.3 python3-kazoo
    libssl-dev openssl libsasl2-dev libsasl2-modules libsasl2-modules-gssapi-mit
    default-jre-headless zookeeper krb5-kdc krb5-admin-server
)
# shellcheck disable=SC2034
tool_packages=('clang-16|clang' 'libclang-rt-16-dev|libclang-rt-dev' 'clang-tidy-16|clang-tidy'
    'clang-format-16|clang-format' shellcheck)
# shellcheck disable=SC2034
docs_packages=(doxygen)

installed() # name [oldest version]
{
    local status version
    read -r status version < <(
        dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$1" 2>/dev/null) || return 1
    [[ $status == installed ]] || return 1
    [[ -z ${2:-} ]] || dpkg --compare-versions "$version" ge "$2"
}

candidate() # name: the version that apt would install
{
    local version
    version=$(apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" { print $2 }')
    [[ -n $version && $version != '(none)' ]] && echo "$version"
}

as_root()
{
    if [[ $(id -u) == 0 ]]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

apt_install()
{
    as_root apt-get -q -y -o DPkg::Lock::Timeout=600 install --no-install-recommends "$@"
}

apt_update()
{
    as_root apt-get -q -o DPkg::Lock::Timeout=600 update
}

# The key that the given source of apt is signed by, if it names a file.
signing_key() # /etc/apt/sources.list.d/x.sources or .list
{
    sed -n -E 's/^Signed-By: *(\/.*)$/\1/p; s/^deb +\[.*signed-by=(\/[^] ]*).*$/\1/p' "$1" |
        head -n 1
}

# Backports come from the mirror that serves this machine's own release, signed by the same key.
enable_backports() # codename
{
    local targets uri file key
    targets=$(apt-get indextargets 'Created-By: Packages' 'Component: main')
    if grep -qx "Release: $1-backports" <<<"$targets"; then
        return
    fi
    targets=$(apt-get indextargets 'Created-By: Packages' 'Component: main' "Codename: $1")
    uri=$(sed -n 's/^Repo-URI: //p' <<<"$targets" | head -n 1)
    file=$(sed -n -E 's/^Sourcesentry: (.*):[0-9]+$/\1/p' <<<"$targets" | head -n 1)
    if [[ -z $uri || -z $file ]]; then
        echo "dev: no mirror of $1 is configured, so its backports cannot be found" >&2
        return 1
    fi
    key=$(signing_key "$file")
    {
        printf 'Types: deb\nURIs: %s\nSuites: %s-backports\nComponents: main\n' "$uri" "$1"
        if [[ -n $key ]]; then
            printf 'Signed-By: %s\n' "$key"
        fi
    } | as_root tee "/etc/apt/sources.list.d/$1-backports.sources" >/dev/null
    apt_update
}

need() # entries of the lists above
{
    local entry name oldest choice missing=() plain=() backported=() codename
    command -v dpkg-query >/dev/null || return 0 # not Debian: whatever is there has to do
    for entry in "$@"; do
        oldest=${entry#"${entry%%:*}"}
        for name in $(tr '|' ' ' <<<"${entry%%:*}"); do
            if installed "$name" "${oldest#:}"; then
                continue 2
            fi
        done
        missing+=("$entry")
    done
    [[ ${#missing[@]} != 0 ]] || return 0
    apt_update
    for entry in "${missing[@]}"; do
        oldest=${entry#"${entry%%:*}"}
        choice=
        for name in $(tr '|' ' ' <<<"${entry%%:*}"); do
            if [[ -z $choice ]] && candidate "$name" >/dev/null; then
                choice=$name
            fi
        done
        if [[ -z $oldest && -n $choice ]]; then
            plain+=("$choice")
        elif [[ -n $choice ]] && dpkg --compare-versions "$(candidate "$choice")" ge "${oldest#:}"
        then
            plain+=("$choice")
        else
            name=${entry%%:*}
            backported+=("${name%%|*}")
        fi
    done
    if [[ ${#plain[@]} != 0 ]]; then
        apt_install "${plain[@]}"
    fi
    if [[ ${#backported[@]} != 0 ]]; then
        # shellcheck source=/dev/null
        codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
        enable_backports "$codename"
        apt_install -t "$codename-backports" "${backported[@]}"
    fi
}
