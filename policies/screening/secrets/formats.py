"""What tokens of known issuers look like: the formats that issuers publish, or that their tokens show.

A kind, then its patterns. In them a capital letter before a count or ``*`` stands for one of ``CLASSES``, UUID for one.
``~`` marks a prefix that is short or common: the rest must look random besides.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

CLASSES = {
    "D": "[0-9]",
    "H": "[0-9a-f]",
    "X": "[0-9a-fA-F]",
    "L": "[0-9a-z]",
    "U": "[0-9A-Z]",
    "N": "[0-9A-Za-z]",
    "W": "[0-9A-Za-z_-]",
    "B": "[0-9A-Za-z_+/-]",
}
UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"

FORMATS = r"""
aws_access_key      AKIAU{16} ASIAU{16} ABIAU{16} ACCAU{16} A3TU{17}
aws_session_token   IQoJb3JpZ2luX2VjB{100,}={0,2} FwoGZXIvYXdzEB{100,}={0,2} FQoGZXIvYXdzEB{100,}={0,2}
aws_bedrock_key     ABSKB{100,}={0,2} bedrock-api-key-[Y]mVkcm9jay5hbWF6b25hd3MuY29tB*={0,2}
anthropic_key       sk-ant-api[0-9]{2}-W{93}AA sk-ant-admin[0-9]{2}-W{93}AA ~sk-ant-[bc-z]W{40,}
openai_key          sk-N{20}T3BlbkFJN{20} sk-proj-W{20,120}T3BlbkFJW{20,120} sk-svcacct-W{20,120}T3BlbkFJW{20,120}
                    sk-admin-W{20,120}T3BlbkFJW{20,120} sess-N{40}
model_host_key      ~sk-or-v1-H{64} ~sk-lf-UUID hf_N{30,} api_org_N{34} gsk_N{40,} r8_N{34,} xai-W{60,} pplx-N{40,}
                    nvapi-W{60,} csk-N{40,} ~fw_N{22,} tvly-W{20,} ~tgp_v1_W{30,} pcsk_W{40,} lsv2_pt_X{32}W*
                    lsv2_sk_X{32}W* ls__H{32} fc-H{32} jina_W{40,} e2b_H{40} apify_api_N{30,} ~pa-W{43} ~al-W{43}
                    ~esecret_W{20,} wandb_v1_W{40,} rpa_N{28,} llx-N{40,} m0-N{36,} bce-v3/ALTAK-N{21}/H{40}
                    ~bb_live_W{20,} aio_N{28} AQ\.Ab8RN6W{30,} ~BSAW{24,28} key_H{64} ~sk_H{48} ~LLM\|D{10,}\|W{20,}
                    sk_car_W{20,} cog_L{48,} ~apk_[0-9A-Za-z+/_=-]{60,} vtwn_N{22,} configcat-sdk-1/W{22}/W{22}
                    lip_W{20,} dtn_H{64} ~db-N{29} AstraCS:[0-9A-Za-z:_-]{24,} mdb_sa_sk_W{40} ~AKLTB{40,}={0,2}
github_token        ghp_N{36,} gho_N{36,} ghu_N{36,} ghs_N{36,} ghr_N{36,} github_pat_[0-9A-Za-z_]{36,}
gitlab_token        glpat-W{27,300}\.L{2}\.?L{7,9} glpat-W{20} gldt-W{20} glrt-W{20,50} glrtr-W{20}
                    glcbt-(?:N{1,5}_)?W{20} glptt-W{40} glft-W{20} glimt-W{25} glagent-W{50,} gloas-W{64}
                    glsoat-W{20,50} glffct-W{20} glwt-W{20} GR1348941W{20,50} glrt-t[0-9]_W{27,300}\.L{2}\.?L{7,9}
                    glrt-t[0-9]_W{20} _gitlab_session=L{32}
slack_token         xox[abeoprs]-(?:D{1,2}-)?D{5,14}(?:-D{5,14}){0,3}-N{16,} xox[os]-D{5,14}-D{5,14}-D{5,14}-X{6,}
                    ~xox[ar]-(?:D-)?N{20,48} xoxe-D{1,2}-N{30,} xoxe\.xox[bp]-D{1,2}-N{20,} xox[cds]-W{30,}
                    xapp-D{1,2}-U{8,}-D{8,}-L{20,}
slack_webhook       hooks\.slack\.com/(?:services|workflows|triggers)/[0-9A-Za-z+/]{36,}
stripe_key          sk_live_N{10,} sk_test_N{10,} sk_prod_N{10,} rk_live_N{10,} rk_test_N{10,} rk_prod_N{10,}
                    ~whsec_B{24,}
google_key          AIzaW{35} GOCSPX-W{28} ya29\.W{20,} ~1//0W{40,} GOOG1EU{50,}
azure_secret        AccountKey=B{86}== ~sig=[0-9A-Za-z%+/]{40,60}={0,2}
square_token        sq0atp-W{22,60} sq0csp-W{43} EAAAW{60}
shopify_token       shpat_X{32} shpca_X{32} shppa_X{32} shpss_X{32}
twilio_key          SKX{32} ACX{32}
sendgrid_key        SG\.W{16,32}\.W{32,64} SG\.[0-9A-Za-z=_.-]{66}
mail_key            key-H{32} xkeysib-X{64}-N{16} xsmtpsib-X{64}-N{16} ~md-W{22} ~re_N{8}_N{20,} mlsn\.N{32,}
                    dG9rO[0-9A-Za-z+/]{54,}={0,2} os_v2_app_L{90,} os_v2_org_L{90,}
discord_webhook     discord\.com/api/webhooks/D{15,21}/W{60,} discordapp\.com/api/webhooks/D{15,21}/W{60,}
teams_webhook       outlook\.office\.com/webhook/UUID@UUID/IncomingWebhook/H{32}/UUID
                    webhook\.office\.com/webhookb2/UUID@UUID/IncomingWebhook/H{32}/UUID
hook_url            open\.feishu\.cn/open-apis/bot/v2/hook/UUID open\.larksuite\.com/open-apis/bot/v2/hook/UUID
                    hooks\.zapier\.com/hooks/catch/D{4,}/N{5,} maker\.ifttt\.com/trigger/W{1,60}/with/key/W{20,}
package_token       pypi-AgEIcHlwaS5vcmcW{70,} pypi-AgENdGVzdC5weXBpLm9yZwW{70,} npm_N{36} rubygems_H{48} cioN{32}
                    oy2L{43} CLOJARS_L{60} dckr_pat_W{27} dckr_oat_W{27,}
hashicorp_token     hvs\.W{24,} hvb\.W{24,} hvr\.W{24,} ~s\.N{24}
secret_store_token  dp\.(?:pt|st|ct|sa|scim|audit|said)\.[0-9A-Za-z_.-]{40,} ops_eyJ[0-9A-Za-z+/=_-]{200,} pul-H{40}
                    A3-U{6}-(?:U{11}|U{6}-U{5})-U{5}-U{5}-U{5} AGE-SECRET-KEY-1U{58}
cloud_token         doo_v1_H{64} dop_v1_H{64} dor_v1_H{64} dapiH{32}(?:-D)? LTAIN{17,21} STS\.N{20,} AKIDN{32}
                    HRKU-AAW{50,} tskey-[a-z]{3,9}-W{16,} ~tskey-W{20,} ~YCW{38} ~AQVNW{35,38}
                    t1\.[A-Z0-9]W+={0,2}\.W{86}={0,2} v1\.0-H{24}-H{146} nfp_N{36,} sbp_W{36,} sb_secret_W{20,}
                    rnd_N{28,} ~vcp_W{24,} ~vca_W{24,} ~vci_W{24,} ~vck_W{24,} ~vcr_W{24,} vercel_blob_rw_N{30,}
                    fo1_W{43} fm2_B{60,} fm1[ar]_B{60,} pscale_tkn_[0-9A-Za-z=._-]{32,}
                    pscale_oauth_[0-9A-Za-z=._-]{32,} pscale_pw_[0-9A-Za-z=._-]{32,} tk-us-W{48} ~npg_N{12,}
                    ~napi_W{40,} ~CCDB1_W{22}_W{40} AVNS_W{19,} ucat_N{26,} cfat_W{40,} cfut_W{40,} cfk_W{40,} EXOL{26}
                    EXON{26,27} akab-W{16}-W{16} doseH{32} dkeaH{32} 1000\.H{32}\.H{32} s-s4t2ud-H{64} s-s4t2af-H{64}
monitoring_key      dt0[a-z]D{2}\.N{24}\.N{64} glsa_N{32}_X{8} glc_[0-9A-Za-z+/]{32,}={0,3}
                    eyJrIjoi[0-9A-Za-z+/]{60,}={0,3} NRAK-N{27} NRJS-H{19} NRII-W{32} NRAA-H{27} NRRA-H{42} NRIQ-W{32}
                    sntrys_eyJ[0-9A-Za-z+/=_-]{60,} sntryu_H{64} phx_W{40,} phc_W{40,} pha_W{40,} phr_W{40,} phs_W{40,}
                    hcaik_N{58} hcxik_N{58} hcaic_N{58} sqp_[0-9A-Za-z=_-]{40} squ_[0-9A-Za-z=_-]{40}
                    sqa_[0-9A-Za-z=_-]{40} odt_N{32,} xaat-UUID xapt-UUID pylf_v1_[a-z]{2}_N{40,}
                    essu_[0-9A-Za-z_+/-]{40,}={0,2} ~cu_H{32} samsara_api_N{28,} BBFF-N{30} nyk_[0-9A-Za-z_]{40,}
work_tool_token     ~eyJtaXJvW{60,} lin_api_N{40} lin_oauth_N{40,} ~secret_N{43} ntn_N{40,} ~patN{14}\.H{64} figd_W{38,}
                    figo_W{38,} figoh_W{38,} PMAK-H{24}-H{34} PMAT-W{20,} ATATT3[0-9A-Za-z_=-]{100,}
                    ATCTT3[0-9A-Za-z_=-]{100,} ATBBN{32} ATOAN{40,} BBDC-[0-9A-Za-z+/=@_-]{40} ATTAN{72} tfp_W{40,}
                    fio-u-[0-9A-Za-z_=-]{64} rdme_L{70} pat-na1-UUID pat-na2-UUID pat-eu1-UUID CFPAT-W{43}
                    ~pk_D{6,8}_U{32} ~pk_L{34} ~api_N{20,24}\.N{20,24} pnu_N{36} pnb_N{36} waka_L{40,} waka_UUID
                    waka_sec_UUID sgp_(?:N{16}_|local_)?X{40} sgp_N{64} cnvcaW{44,} RGAPI-UUID ion_N{42}
build_token         bkua_N{40,} bkct_W{40,} bkpt_W{40,} CCIPAT_N{22}_N{40} CCIPRJ_N{22}_N{40} ico-N{32} API-U{26}
                    pat\.W{22}\.N{24}\.N{20} sat\.W{22}\.N{24}\.N{20} dnkey-[a-z0-9=_-]{26}-[a-z0-9=_-]{52} sha256~W{43}
                    ~tr_dev_N{20,} ~tr_prod_N{20,} signkey-prod-H{64} signkey-test-H{64} dbtc_[0-9A-Za-z_=-]{30,}
                    dbtu_[0-9A-Za-z_=-]{30,} sm_[aps]at_N{16} hawk\.W{20}\.W{20} AQAAABAAAA[0-9A-Za-z+/]{30,}={0,2}
                    ddp_N{36} ddo_N{36} AIK_CI_N{32,} AIK_SECRET_N{40,} hxtp_N{40,} slk_X{64} unkey_N{20,} 4b1dN{38}
                    ~csa_N{32,} dvc_server_W{16,} SWMTKN-1-L{40,}-L{20,} SWMKEY-1-[0-9A-Za-z+/]{40,} endr\+W{16}
                    mergify_application_key_W{40,} rootly_H{64} tss_W{26,} wrkara-W{12,60}\.W{12,60}\.W{20,}
                    sc_[0-9a-z]{5,30}\.[0-9a-z]{4,6}\.acc[_-]W{10,32}\.B{30,}
                    scauth_[0-9a-z]{5,30}\.[0-9a-z]{4,6}\.acc[_-]W{10,32}\.B{30,}
                    authress_[0-9a-z]{5,30}\.[0-9a-z]{4,6}\.acc[_-]W{10,32}\.B{30,} zpka_[0-9a-z_]{32,} gb_api_N{40}
jfrog_token         AKCpN{69} cmVmdN{59} AKCN{10,} ~AP[0-9A-F]N{8,}
map_key             sk\.eyJW{40,}\.W{20,} tk\.eyJW{40,}\.W{20,}
payment_key         FLWSECK_TEST-[0-9A-Za-z]{12,} FLWSECK-N{12,} FLWPUBK_TEST-H{32}-X EZAKN{54} EZTKN{54}
                    shippo_live_X{40} shippo_test_X{40} duffel_test_[0-9A-Za-z_=-]{43} duffel_live_[0-9A-Za-z_=-]{43}
                    rzp_live_N{14} access-sandbox-UUID access-development-UUID access-production-UUID pdl_live_W{30,}
                    pdl_sdbx_W{30,} access_token\$production\$N{16}\$H{32} polar_[a-z]{2,3}_W{20,} ~live_W{30,40}
                    ~test_W{30,40} persona_production_W{20,} persona_sandbox_W{20,} mercury_production_W{20,}
                    mercury_sandbox_W{20,} xnd_production_N{40,} xnd_development_N{40,} apikey_H{64}
                    secret-live-W{36}={0,1} secret-test-W{36}={0,1} api_live(?:_[a-z]{2})?\.[0-9A-Za-z_.-]{30,}
                    api_sandbox(?:_[a-z]{2})?\.[0-9A-Za-z_.-]{30,} flb_live_N{20} ~KEYW{55}
                    aact_prod_[0-9A-Za-z_=:+/-]{20,} aact_hmlg_[0-9A-Za-z_=:+/-]{20,} Mid-server-W{16,} ramp_sec_N{40,}
                    ~PRD-X{8,12}(?:-X{4,8}){3,5}
social_token        EAACEdEose0cBAN{20,} ~EAA[BCDGIMUHX]N{40,} IGQVW{40,} AAAAAAAAAAAAAAAAAAAAA[0-9A-Za-z%]{40,}
                    ~sl\.[0-9A-Za-z_=-]{60,} ~sl\.u\.[0-9A-Za-z_=-]{60,} p8e-N{32} ~AAAAW{7}:W{140} y0_W{50,}
                    vk1\.a\.W{60,} Atzr\|W{80,} Atza\|W{80,} pina_[0-9A-Za-z_]{40,} amzn1\.oa2-cs\.v1\.H{64} da2-L{26}
                    _\|WARNING:-DO-NOT-SHARE-THIS\S{100,}
wallet_key          xprvN{107} nsec1L{58}
session_token       00DN{12,15}![0-9A-Za-z_.]{60,}
keys_with_uuid      sdk-UUID mob-UUID api-UUID sec-c-UUID amzn\.mws\.UUID ory_[a-z]{2,6}_W{30,}
api_key             ~sk-(?!(?:ant|proj|svcacct|admin)-)W{24,} ~sk_W{24,}
"""
# Those that begin with anything; they are known by what follows.
OPEN_FORMATS = r"""
azure_secret        N{3}D{1}Q~[0-9A-Za-z_.~-]{31,34} N{52}JQQJ99N{18,26}
mail_key            H{32}-usD{1,2} H{32}-H{8}-H{8}
discord_token       ~[MNO]W{23,25}\.W{6}\.W{27,38}
telegram_token      ~D{5,16}:AW{34}
hashicorp_token     N{14}\.atlasv1\.[0-9A-Za-z=_-]{60,70}
map_key             N{6}_N{29}_mmk L{10}mshL{15,16}pL{6}jsnL{12}
model_host_key      ~X{32}\.N{16} ~UUID:H{32}
publishing_key      H{24}:H{64}
social_token        ~D{15,16}(?:\||%7C)W{27,40}
monitoring_key      N{36}NRAL
"""


@dataclass(frozen=True, slots=True)
class Format:
    """``pattern`` without classes, which begins with the characters ``prefix`` as they stand.

    ``is_weak``: what follows them must look random; ``goes_on``: what must not come after, for a longer token is
    another thing.
    """

    kind: str
    pattern: str
    prefix: str
    is_weak: bool
    goes_on: str


def read_formats(table: str) -> tuple[Format, ...]:
    """Of a table such as ``FORMATS``, in the order in which they are tried."""
    found: list[Format] = []
    kind = ""
    for line in table.splitlines():
        words = line.split()
        if words and not line.startswith(" "):
            kind, *words = words
        found += [_format(kind, word) for word in words]
    return tuple(found)


def _format(kind: str, word: str) -> Format:
    pattern = re.sub(r"([A-Z])(?=[{*+])", lambda found: CLASSES.get(found[1], found[1]), word.lstrip("~"))
    pattern = pattern.replace("UUID", UUID)
    return Format(kind, pattern, _prefix(pattern), word.startswith("~"), _goes_on(pattern))


def _goes_on(pattern: str) -> str:
    if not pattern.endswith("}") or pattern.endswith(",}"):
        return ""
    beyond = "_-" if pattern[: pattern.rindex("{")].endswith(CLASSES["W"]) else "_"
    return string.ascii_letters + string.digits + beyond


def _prefix(pattern: str) -> str:
    plain = re.match(r"(?:[\w~:/-]|\\\W)*", pattern)
    prefix = plain[0] if plain else ""
    if pattern[len(prefix) : len(prefix) + 1] in ("?", "{", "*", "+"):
        prefix = prefix[:-1]
    return prefix.replace("\\", "")
