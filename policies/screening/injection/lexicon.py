"""What words mean to the rules: one letter for each concept, in a dozen languages and under each disguise.

A text becomes a string of one letter a word ("forget all your earlier orders" is ``xaypr``), on which rules are short
patterns. Words without a meaning are ``.``, ends of sentences ``;`` and of lines ``/``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

NOTHING, SENTENCE_END, LINE_END = ".", ";", "/"
LINE = "\0"  # stands for the end of a line among words

# name: letter, words. A word has one meaning; the first that names it keeps it. Diacritics are not read.
_CONCEPTS = {
    "override": (
        "x",
        """ignore ignores ignoring overlook disregard disregarding forget neglect discard override
        overrule bypass circumvent skip dismiss disobey unlearn supersede overwrite
        nullify scrap aside abandon omit ignoriere ignorieren ignoriert vergiss vergesst
        vergessen missachte missachten uberspringe verwerfe ignorez oublie oubliez
        oublier negligez ignora ignorar ignorad olvida olvide olvidar olvidate
        olviden omite descarta desestima dimentica dimenticate dimenticare ignorate
        tralascia esqueca esquece desconsidere desconsidera negeer negeren vergeet
        zignoruj ignoruj zapomnij pomin pominac unut yoksay ignorera glom ignorer
        glem zaboravi zaboravite ignorisi ignorisite zapomen ignorirej uita
        игнорируй игнорируйте проигнорируй проигнорируйте забудь забудьте
        забыть 忽略 忽视 无视 無視 忘记 忘掉 忘れて 무시 무시하고 잊어 تجاهل انس अनदेखा भूल abaikan lupakan""",
    ),
    "prior": (
        "p",
        """previous previously prior above earlier preceding foregoing before former
        aforementioned past precedent preceeding existing old last current given
        below other vorherigen vorherige vorigen vorige bisherigen bisherige obigen
        obige vorangehenden vorangegangenen vorhergehenden vorangegangene davor
        zuvor vorher fruheren precedentes precedente precedents anterieures
        anterieurs anteriores anterior previas previos previa arriba dessus
        precedenti sopra bovenstaande eerdere voorgaande poprzednie poprzednich
        powyzsze onceki yukaridaki tidigare forrige предыдущие предыдущих прежние
        прошлые выше 之前 以上 先前 上述 前面 此前 以前 前の 上記 이전 위의 السابقة पिछले पिछली sebelumnya""",
    ),
    "rules": (
        "r",
        """instruction instructions directive directives command commands prompt prompts rule
        rules guideline guidelines guidance order orders directions programming
        protocol protocols policy policies preprompt prompting brief
        anweisung anweisungen befehle befehl instruktionen instruktion anleitungen
        vorgaben regeln aufforderungen consigne consignes regles ordres
        instrucciones instruccion ordenes reglas indicaciones istruzioni istruzione
        regole comandi direttive instrucoes instrucao regras ordens instructies
        opdrachten regels instrukcje instrukcije pokyny upute instructiunile
        polecenia zasady talimatlari talimatlar
        kurallari instruktioner regler инструкции инструкций указания указаний
        правила команды 指令 指示 提示 规则 規則 命令 지시 지시를 지침 명령 التعليمات निर्देशों निर्देश
        instruksi perintah""",
    ),
    "ethics": (
        "X",
        """ethics ethical ethically ethicality moral morals morality morally legal legality legally law laws norms
        consequences""",
    ),
    "limits": (
        "l",
        """restriction restrictions restrict limitation limitations limits limit constraint
        constraints boundaries safety safeguard safeguards guardrail guardrails
        filter filters filtering censorship moderation inhibitions compliance
        safe_mode einschrankungen beschrankungen restricciones limites restricoes
        ограничений ограничения 限制 约束 制限 제한""",
    ),
    "content": (
        "c",
        """text texts note context input inputs everything anything words content contents conversation message messages
        sentence line lines information assignment assignments document documents article articles artikel
        question questions discussion chat talk said told saying ausfuhrungen
        aufgabe aufgaben auftrage informationen alles gesagt gesprochen texte tout
        toute todo todos tudo tutto todas cela dije dicho tareas taches wszystko всё
        все 所有 一切 内容 すべて 모든""",
    ),
    "all": (
        "a",
        """all any every each entire whole complete full alle allen jede toutes tous cualquier tutte ogni alla
        wszystkich""",
    ),
    "your": (
        "y",
        """your ur thy dein deine deinen deiner ihre ihren vos votre tes ton sus tus tu tuoi
        tue vostre suas seus teus twoje swoje твои твой свои ваши 你的 您的 あなたの 당신의""",
    ),
    "system": (
        "s",
        """system hidden internal initial original core underlying base starting default pre configured systemprompt""",
    ),
    "reveal": (
        "v",
        """reveal show display format disclose expose leak dump recite divulge regurgitate
        uncover tell share list print output repeat copy return echo transcribe
        reproduce replicate zeige zeig sag sage nenne verrate wiederhole drucke gib
        montre montrez revele revelez dis dites affiche affichez repete muestra
        muestrame revela dime di decir imprime repite mostra mostrami dimmi rivela
        ripeti mostre diga repita toon vertel pokaz ujawnij goster покажи скажи
        раскрой повтори выведи 显示 告诉 透露 泄露 输出 重复 打印 教えて 表示 보여줘 알려줘 공개""",
    ),
    "secret": (
        "k",
        """secret secrets password passwords passphrase passcode credential credentials
        confidential apikey keys passwort mot contrasena clave senha пароль 密码 秘密
        パスワード 비밀번호 config configuration""",
    ),
    "you": ("u", "you u ya thou du sie vous usted ustedes voce ты вы 你 您 あなた 당신"),
    "be": ("b", "are be become being is was were bist sein seid sind es eres sois sei 是"),
    "must": (
        "m",
        """will must should shall can may need have going gonna would could supposed wirst musst soll kannst""",
    ),
    "person": ("w", "i we he she they it me people users user students my our myself who someone everyone"),
    "to": ("h", "to"),
    "not": (
        "d",
        """not never dont cannot no without none neither nor cant nicht kein keine ne pas nunca
        non нет не 不 不要 别""",
    ),
    "now": (
        "n",
        """now henceforth onwards onward forward jetzt nun maintenant ahora adesso agora теперь
        сейчас 现在 从现在 今から 이제""",
    ),
    "from": ("f", "from ab"),
    "on": ("o", "on"),
    "act": (
        "t",
        """act acts acting pretend pretending roleplay roleplaying simulate simulates
        simulating simulation impersonate impersonating emulate behave imagine
        portray transform personify embody mimic play playing agiere verhalte
        fais agis actua actue finge comportati fingi aja 扮演 假装 模拟""",
    ),
    "as": ("A", "as like als como comme"),
    "unbound": (
        "F",
        """unfiltered uncensored amoral unrestricted unlimited jailbreak jailbroken jailbreaking limitless lawless
        uninhibited unhinged unbound unfettered unconstrained unmoderated antigpt chaosgpt evilbot betterdan
        devmode uneingeschrankt""",
    ),
    "mode": (
        "M",
        """mode modes persona personas character alter ego simulator jailbreaks modus modo
        режим 模式 モード 모드""",
    ),
    "model": (
        "K",
        """ai ais chatgpt gpt assistant assistants chatbot chatbots bot llm llms agi claude
        gemini bard llama siri alexa openai anthropic copilot gpt3 gpt4 gpt5 ki ia
        ии 人工智能 助手""",
    ),
    "refuse": (
        "Z",
        """refuse refuses refusing refusal decline declines declining apologize apologise apologies apology sorry warn
        warning warnings disclaimer disclaimers unable deny reject disallowed inappropriate moralize lecture
        caveats objection""",
    ),
    "answer": (
        "J",
        """respond responds reply replies answer answers response responses responding outputs completion antworte
        antwort reponds responde responda""",
    ),
    "only": (
        "O",
        """only instead simply just exclusively solely exactly nur stattdessen seulement solo
        apenas solamente 只 仅""",
    ),
    "authority": (
        "Q",
        """admin administrator developer developers root sudo authorized authorised authorization clearance privileges
        privileged permission superuser owner creator maintenance debug debugging operator engineer""",
    ),
    "urgent": ("V", "important urgent attention critical priority emergency notice update wichtig"),
    "new": (
        "N",
        """new updated revised additional real actual true next neue neuen neuer nouvelle
        nouvelles nouveau nueva nuevas nuevo nuova nuovo nova novo новые новая 新的 新""",
    ),
    "task": (
        "T",
        """task tasks challenge objective goal purpose mission role tache tarea tarefa compito задача
        задание 任务""",
    ),
    "edit": (
        "E",
        """include add insert append integrate incorporate embed enhance modify replace introduce mention encode
        convert scramble jumble rearrange anagram substitute alternate remove weave blend fuse merge meld
        interweave infuse inject implement employ utilize utilise attach supplement augment shuffle mix swap
        adapt rewrite reverse craft conclude finish change group combine misspell""",
    ),
    "begin": ("g", "start begin prefix preface commence end beginning"),
    "code": ("q", "code snippet excerpt codebase"),
    "block": ("B", "block fragment section segment"),
    "do": (
        "D",
        """do perform execute run comply obey follow fulfill proceed evaluate eval carry executes execution führe
        ejecuta""",
    ),
    "off": (
        "i",
        """disable disabled deactivate disabling deactivated turn off suspend lift unlock removed evade elude evading
        revoked void invalid obsolete lifted suspended nullified cancelled canceled null irrelevant
        hinfallig drop""",
    ),
    "on_switch": ("I", "enable enabled activate activated enter entering switch engage initiate unleash"),
    "free": ("R", "free freed liberated released broken escape escaped bound abide confines shackles"),
    "training": ("G", "training trained memory memorized dataset architecture parameters weights"),
    "two": ("2", "two both twice dual second 2"),
    "fiction": (
        "Y",
        """hypothetical hypothetically fictional fiction novel story screenplay movie game scenario fictitious""",
    ),
    "about": (
        "?",
        """what why how explain define describe difference meaning means mean example examples detect detecting prevent
        prevention protect protecting defend mitigate mitigation term phrase concept injection injections
        attack attacks vulnerability vulnerabilities whats wie pourquoi comment cual""",
    ),
    "wicked": ("H", "evil illegal unlawful malicious unethical immoral harmful offensive explicit wicked dangerous"),
    "after": ("U", "after nach apres despues"),
    "stop": ("z", "stop cease cancel stopp"),
    "sure": ("S", "sure absolutely certainly ok okay yes understood"),
    "pwned": ("P", "pwned pwnd pwn pawned pwnedd haxx"),
    "translate": (
        "L",
        """translate translation summarize summarise paraphrase ubersetze traduce traduis traduisez tradurre decode
        decrypt decipher base64 rot13 hex cipher encoded""",
    ),
    "agree": ("C", "agreed agree promised remember confirmed established"),
    "make": (
        "j",
        """write generate create compose make say type provide produce draft develop render
        schreibe schreiben schreib formuliere
        generiere erstelle ecris ecrivez escribe crea scrivi escreva schrijf napisz
        напиши 写 書いて 써 answer_with speak state""",
    ),
    "know": ("W", "sabes weisst savez know knew learned learnt known knowledge thoughts"),
    "if": ("1", "if when whenever unless"),
    "read": ("3", "reading read reads processing parsing viewing summarizing summarising sees seeing"),
    "in": ("4", "in within throughout into inside"),
    "for": ("5", "for"),
    "the": ("6", "the this these that those following subsequent"),
    "apply": ("7", "apply applies applicable matter exist count hold valid"),
    "work": ("#", "implementation solution algorithm program project application elucidation logic"),
    "solve": (
        "%",
        """analyze analyse compare discuss outline suggest recommend solve calculate compute classify identify estimate
        plan design brainstorm""",
    ),
    "despite": ("<", "despite regardless contrary notwithstanding abweichend entgegen trotz malgre pese"),
    "please": ("e", "please kindly bitte and then also but so"),
}
# What is told of and not ordered ("I ignore", "how to show"), and words that are read backwards or by rot13.
OWN = {"x": "0", "v": "8"}
CIPHERED = "9"
LETTERS = {name: letter for name, (letter, _) in _CONCEPTS.items()} | {"own_override": OWN["x"], "own_reveal": OWN["v"]}

# Words that nobody hides without a reason: what is read backwards, by rot13 or run together.
STRONG = (
    "ignore disregard forget override bypass previous prior above instructions instruction directives prompt system"
    " rules guidelines reveal everything unrestricted unfiltered jailbreak restrictions developer password execute"
).split()
_MISTYPED = (
    "ignore disregard previous instructions instruction directives guidelines restrictions system prompt reveal forget"
    " override bypass unfiltered unrestricted pretend developer everything commands assistant safety"
).split()
_UNSPACED = re.compile("[\u0600-\u06ff\u0900-\u097f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


_ACCENTS = re.compile("[\u0300-\u036f]+")


def without_accents(text: str) -> str:
    """Latin, Greek and Cyrillic letters without their accents; other scripts as they are."""
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", text)))


@cache
def concepts() -> dict[str, str]:
    """Word to letter."""
    table: dict[str, str] = {}
    for letter, words in _CONCEPTS.values():
        for word in without_accents(words).split():
            table.setdefault(word, letter)
    for word, letter in list(table.items()):
        for variant in _misread(word):
            table.setdefault(variant, letter)
    for word in _MISTYPED:
        for variant in _mistyped(word):
            table.setdefault(variant, table[word])
    rot13 = str.maketrans("abcdefghijklmnopqrstuvwxyz", "nopqrstuvwxyzabcdefghijklm")
    for word in STRONG:
        table |= {word[::-1]: CIPHERED, word.translate(rot13): CIPHERED}
    table |= {LINE: LINE_END, SENTENCE_END: SENTENCE_END}
    return table


@cache
def unspaced_words() -> re.Pattern[str]:
    """The words of scripts that put no spaces between them, longest first."""
    words = [word for word in concepts() if _UNSPACED.match(word)]
    # Hardly any other character begins one.
    begins = "".join(sorted({word[0] for word in words}))
    return re.compile(f"(?=[{begins}])(?:{'|'.join(sorted(words, key=len, reverse=True))})")


@cache
def joined_words() -> re.Pattern[str]:
    """Words within letters that were run together."""
    words = [*STRONG, "all", "your", "the", "and", "previous", "you", "are", "now", "print", "output"]
    return re.compile("|".join(sorted(set(words), key=len, reverse=True)))


def _misread(word: str) -> Iterator[str]:
    """What becomes of it where 1 stood for l and was read as i."""
    places = [at for at, letter in enumerate(word) if letter == "l"][:3]
    for chosen in range(1, 1 << len(places)):
        letters = list(word)
        for number, at in enumerate(places):
            if chosen >> number & 1:
                letters[at] = "i"
        yield "".join(letters)


def _mistyped(word: str) -> Iterator[str]:
    """A letter left out, or two exchanged, behind the first."""
    for at in range(1, len(word)):
        yield word[:at] + word[at + 1 :]
        if at + 1 < len(word):
            yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]
