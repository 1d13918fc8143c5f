/* SPDX-License-Identifier: Apache-2.0 */
#include "serve_tls.h"

#include <errno.h>

#include "listener.h"

/* The first listener that speaks TLS, or NULL. */
static const char *tls_listener(const struct serve_options *options)
{
    for (size_t i = 0; i < options->listen.count; i++)
        if (listener_spec_is_tls(str_from(options->listen.items[i])))
            return options->listen.items[i];
    return NULL;
}

/* The first option that is about TLS, or NULL. */
static const char *tls_option(const struct serve_options *options)
{
    if (options->tls_cert)
        return "--tls-cert";
    if (options->tls_key)
        return "--tls-key";
    if (options->tls_client_ca)
        return "--tls-client-ca";
    return options->tls_client_san.count ? "--tls-client-san" : NULL;
}

/* Of a configuration file, where nobody has been named; what is not given is no list. */
static bool is_empty_list(const struct text_list *list)
{
    return list->items && list->count == 0;
}

int serve_tls_files(const struct serve_options *options, struct credential_files *ret_files,
                    struct diag *diag)
{
    const char *listener = tls_listener(options), *option = tls_option(options);

    if (!listener && option)
        return diag_set(diag, -EINVAL,
                        "%s is for TLS, which no --listen speaks: write --listen IP:PORT,tls",
                        option);
    if (listener && !options->tls_cert)
        return diag_set(diag, -EINVAL,
                        "--listen %s needs a certificate: --tls-cert FILE is missing", listener);
    if (listener && !options->tls_key)
        return diag_set(diag, -EINVAL,
                        "--tls-cert %s needs its key: --tls-key FILE is missing (it may be the "
                        "same file)",
                        options->tls_cert);
    if (options->tls_client_san.count && !options->tls_client_ca)
        return diag_set(diag, -EINVAL,
                        "--tls-client-san needs --tls-client-ca FILE: names count only in "
                        "certificates that somebody trusted has signed");
    if (is_empty_list(&options->tls_client_san))
        return diag_set(diag, -EINVAL,
                        "tls-client-san: an empty list would let in whoever has a certificate of "
                        "--tls-client-ca: name somebody, or leave the key out");
    *ret_files = (struct credential_files){
        .role = TLS_SERVER,
        .certificate = options->tls_cert,
        .key = options->tls_key,
        .trusted = options->tls_client_ca,
        .client_names = options->tls_client_san.items,
        .client_name_count = options->tls_client_san.count,
    };
    return 0;
}
