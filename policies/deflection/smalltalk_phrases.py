"""What people say to greet, to thank and to part, as phrases that may follow each other and nothing else may.

Common forms and some typos, in the notation of phrase_grammar. A phrase that could begin a request ("can you help me")
is none of these, nor is one that could be a yes or a no ("that's right").
"""

from __future__ import annotations

import re

from policies.deflection.phrase_grammar import compiled, compiled_parts

_PARTS = compiled_parts(
    {
        "very": "[(so | very | really | pretty | quite | truly | just | such | super | most | too | extremely)]*",
        "good": """
            (great | good | nice | cool | helpful | useful | fantastic | excellent | wonderful | amazing | awesome)
            (perfect | brilliant | superb | terrific | impressive | lovely | outstanding | fabulous | marvelous | fine)
            (incredible | solid | stellar | splendid)
        """,
        # Without a noun: "that's good" may be a yes.
        "praised": """
            (cool | helpful | useful | fantastic | excellent | wonderful | amazing | awesome | brilliant | superb |
                smart)
            (terrific | impressive | clever | intelligent | outstanding | fabulous | marvelous | incredible | lovely)
            (great | kind | sweet | thoughtful | the best)
            [(a | my)] (star | hero | genius | legend | doll | gem | lifesaver | life saver | champ | angel |
                sweetheart)
        """,
        "work": "(job | work | one | answer | answers | response | reply | help | assistant | bot | ai)",
        "day": "(day | morning | afternoon | evening | night | week | weekend)",
        "well": "(ok | okay | alright | all right | good | well | fine)",
        "lately": """
            [(today | tonight | right now | now | lately | these days | so far | at the moment | with you | for you
              | my friend | over there | this [(fine | lovely | beautiful)] (day | morning | afternoon | evening))]*
        """,
        "much": """
            [(a lot | a bunch | a million | a ton | ever so much | so very much | so much | very much | kindly | again
              | much | loads | heaps | bunches | a bundle | to you | sincerely | from the bottom of my heart)]*
        """,
        "name": "(ai | olly | alexa | siri | google | buddy | [my] friend | assistant | bot | computer | dear | pal)",
        "help": """
            (help | helping | assistance | asssistance | asistance | info | information | answer | answers | response)
            (responses | reply | replies | support | time | effort | efforts | cooperation | advice | clarification)
            (feedback | explanation | update | reminder | heads up | tip | tips | work | service | suggestion | chat)
            (suggestions | hard work | guidance | patience | input | insight | knowledge | talk | conversation | aid)
            kindness
        """,
        "thing": """
            ([all] [of] [(the | that | this | your | ur | my)] [({good} | quick | prompt | kind | speedy | sincere)]
                {help}
             [(from you | you gave [me] | you provided | you've given me | with that | with this | with it)])
        """,
        "doing": """
            ((helping | assisting | answering | reminding | telling | letting | trying | responding | explaining | being
             | clarifying | checking | chatting | talking | listening | replying | doing | finding | getting | sharing
             | providing | giving | showing | taking | working | looking | figuring | clearing | coming | supporting
             | guiding | teaching | informing)
            [(me | us)]
            [(out | so | all of that | all that | that question | that information | that up | that out | that | this
              | it up | it out | it | know | [my] questions | my question | with (that | this | it | everything)
              | [so] helpful | there | [so] kind | [so] nice | to me | with me | up | on that | on this
              | the time [to help [me]] | through | to my aid | the information | the answer | an answer)]*)
        """,
        "done": """
            ((everything | all that | all of what | all the things | all | what)
             [[that] (you | you've | you have) (do | did | done)])
        """,
        "for": """
            ([{name}] [(for | 4) ([(you | your)] {doing} | {thing} | {done} | that | this | it)
             [for me] [(today | tonight | now)]])
        """,
        "thank": """
            (thank you | thank u | thankyou | thanks | thank ya | thank | thx | thnx | tnx | tysm | ty | thanx | that
                you)
        """,
        "appreciate": """
            (appreciate | appeciate | apreciate | appriciate | apprecaite | appreicate | appreciat | apprecate)
        """,
        "appreciated": "(appreciated | appriciated | apprecaited | apreciated)",
        "to help": "to (do that | do this | help [me] | say)",
        "talking": """
            (talk | talking | talked | chat | chatting | chatted | speak | speaking | spoken | seeing | seen)
            (meeting | met | converse | conversing)
        """,
        "a talk": "[(a | this | our | the)] (conversation | talk | chat | discussion | visit)",
        "with you": "[(to | with)] [you] [(today | again | now)]",
        "pleasant": """
            (nice | great | good | enjoyable | lovely | wonderful | pleasant | fun | fantastic | awesome | delightful)
            (amazing | cool | [a] pleasure | an honor | a joy | a delight | a blast)
        """,
        "it was": """
            (it was | it has been | it's been | it is | it's | was | that was | this was | this has been)
        """,
        "wonder": """
            (i'd | i would | i) (like | want | need | love) to (know | hear | ask)
            (i wanna know | i'm wondering | i was wondering | just wondering | may i ask | can i ask | tell me)
            (let me know | (would | could | can | will) you [please] tell me)
        """,
        "how doing": """
            (doing | doin | feeling | feelin | going | goin | holding up | been | faring | getting on | getting along)
        """,
        "how going": "(going | doing | goin | been going | been | treating you | hanging | feeling)",
        "later": """
            (later | around | again soon | soon | again | tomorrow | next time | then | in a (bit | while | few))
            (another time | some other time | on the flip side | when i see you | next week | real soon | tonight)
        """,
        "must": """
            (have to | have got to | got to | gotta | need to | must | should | better | am going to | will | had
                better)
            (ought to | am gonna)
        """,
        "leave": """
            (go | get going | run | leave | head out | be going | be leaving | say (goodbye | bye | good bye) | be off)
            (get off | bounce | jet | split | depart | sign off | take off | get out of here | be on my way)
            end our (talk | chat | conversation)
        """,
    }
)

_GREETING = """
    [(why | well | oh)] (hello | helo | hallo | hullo | heller | hellow | hi | hiya | hey | heya | heyo | howdy) [to
        you] [(
        you | world | sir)]
    (hola | bonjour | aloha | namaste | konnichiwa | g'morning) [amigo]
    (greetings | salutations | yo | ahoy [hoy] | g'day | good morrow | top of the morning) [to you]
    [why] good (morning | afternoon | evening | day) [to you]
    morning
    [(it is | it's | so | i'm | i am)] {very} ({pleasant} | happy | glad | pleased | delighted) to (see | meet) you
    [i] [just] (wanted to say | want to say | saying | dropping by to say | stopping by to say) (hi | hello | hey)
    long time no (see | talk | chat)
    it's been (a while | a long time | too long)
    welcome back
    wake up
    rise and shine
    [is] (anyone | anybody) (there | here | home)
    [are] you (there | awake | up | around)
"""
_WELLBEING = """
    how (are | 're | r | is | 's) (you | ya | u | things | we | y'all) [all] [{how doing}] {lately}
    (how're | how's | hows) (you | ya | things) [{how doing}] {lately}
    how (is | was | has) (it | everything | life | the ai | your {day} | things | everyone) [{how going}] {lately}
    how's (it | everything | life | the ai | your {day} | things | everyone | tricks) [{how going}] {lately}
    how (ya | you | u) (doin | doing | been | feeling | feelin) {lately}
    what are you feeling {lately}
    how's are (ya | you) {lately}
    how goes (it | everything)
    (how have | how've) (you | things) been [(feeling | doing | going)] {lately}
    how do (you | ya) (feel | do) {lately}
    [(are | do | have)] (you | things) [(been | doing | feeling | feel | going)] {well} {lately}
    [are you] having a [{good}] (day | morning | evening | time) {lately}
    is your day going {well}
    (what's | what is) (up | new | happening | going on | good | shaking | cooking | cracking | poppin) [with you]
    (wassup | wasup | whassup | sup | waddup | what up) [with you]
    {wonder} how (you | things | the ai) (are | is) [(doing | feeling | going)] {lately}
    {wonder} how (are you [(doing | feeling)] | (you've | you have) been [doing] | you feel | you're (doing |
        feeling)) {lately}
    {wonder} how your day (is [going] | has been | went) {lately}
    i hope (you are | you're | all is | everything is | your day is) [(doing | feeling | going)] ({well} |
        great) {lately}
    i hope (you are | you're) having a {good} {day}
    [is] (everything | all | it) ({well} | going ({well} | great)) {lately}
    [i] (hope | trust) (all is | everything is | you're | you are) [doing] {well} {lately}
    (did you have | have you had | has it been) a {good} {day} {lately}
    has your {day} been ({well} | {good}) {lately}
    (what's | what is) the [good] word
    (what has been | what's been) (going on | up | happening | new) {lately}
    (what | how) have you been (up to | doing) {lately}
    how are things (where you are | on your end | in your world) {lately}
"""
_THANKS = """
    [({very} (many | much) | [a] big | lots of | oh | why | well | okay | ok | so | [all]
        my)] {thank} {much} {for} {much}
    [(i | we)] [(really | just | truly | do | want to | would like to | wanted to | can't | cannot | let me)]* (
        thank you [enough] {much} {for} {much})
    [(i | we)] [(really | just | truly | do)]* (want to | would like to | wanted to | can't | cannot | let me) say (
        thank you [enough] {much} {for} {much})
    [(much | musch | very much | greatly | it's | it is | that is | that's | you are | you're | very | so | really)]* (
        {appreciated} {much})
    (much obliged | cheers | gratitude | good looking out)
    [all] (your | the) {help} (is | was | are | were | has been | have been) [(much | very much | greatly)] (
        {very} {appreciated})
    [(i | we)] [(really | so | truly | do | greatly | sincerely | very much | just)]* {appreciate} (
        [([your] {doing} | you {doing} | {thing} | {done} | it | that | this | you)] [for me] {much} {for})
    [(i'm | i am | i feel)] {very} (grateful | thankful | appreciative | obliged) (
        [(to you | of you | that you helped [me])] {for})
    (i have | you have) (much | so much | a lot of | my | my sincere | my deepest | all my) (
        (gratitude | thanks | appreciation) {for})
    i owe you [(one | big time | big)]
    your (effort | efforts | help | work) (does not | do not | don't | doesn't) go unnoticed
    (i am | i'm) {very} (happy | glad) [that] you (did that [for me] | helped [me] [out] | were able to help [me])
    (you | you've | you have) [really] (helped | saved | assisted) [(me | my life | the day | my day)] [out] {much}
    (you've been | you have been | you were | you are | you're) [(a | an)] {very} (
        [(great | big | huge | real)] (help | helpful) [to me])
    (that was | that is | that's | it was | this is | this was) [(a | an | of)] {very} (
        [(great | big | huge | real)] (help | helpful) [to me])
    (you were | you are | you're | that was | that is | that's | it was | how | so) {very} (
        (kind | nice | sweet | thoughtful | generous) of you [{to help}])
    (you were | you are | you're) {very} (kind | nice | sweet | generous) [{to help}]
    (that | this | it) [really] (helps | helped) [me] [out] {much}
    what you (did | said) (is | was) {very} ([{very}] {appreciated} | {praised})
    [the] {thing} (is | was) {very} ({good} | {praised})
    i (couldn't have | could not have) done (it | that | this) without you
    i don't know what (i'd | i would) do without you
    (gracias | merci | danke | arigato | grazie | muchas gracias | mahalo) [{name}]
"""
_PRAISE = """
    (that's | it's | this | this is | that is | it is | you're | you are | that was | it was | this was | you
        were) {very} (
        [(a | an | the | my)] {good} {work} | {praised})
    (oh | ah | wow | yay) (that's | that is | that was | it's | it is | it was) {very} (
        good [one] | nice [one] | perfect)
    [(a | what a | such)] {very} {good} (job | work) [(you did [({good} | well)]
        | (you've | you have) done (well | great | good)
        | with (that | this | it | assisting me | helping me) | on (that | this | it))]
    (you did | you have done | you've done | you done) [(that | it | this)] [a] [an] (
        {very} {good} {work} | right | correctly | well | perfectly | great)
    (well done | nicely done | way to go | bravo | kudos [to you] | you [really] (rock | rule) | you nailed it | i
        love it)
    (good | great | nice) (bot | boy | girl | one)
    keep (up the (good | great) work | it up)
"""
_BYE = """
    (goodbye | good bye | good-bye | bye bye | bye-bye | byebye | bye | byes | buh bye | buhbye | cya | laters |
        later | see ya) [{after bye}]
    (ta ta | tata | farewell | so long | peace out | peace | toodles | tootles | toodle oo | toodle pip |
        cheerio) [{after bye}]
    (ttyl | ttys | gtg | g2g | adieu | godspeed | be well | stay safe)
    [(i'll | i will | i hope to | we'll | we will | let's | hope to | until i)] (talk | speak | chat) {later}
    [(i'll | i will | i hope to | we'll | we will | hope to | until i)] (see | catch | smell
        | (talk | speak | chat) (to | with) | meet) (you | ya | u | y'all) [all] {later} [alligator]
    cya {later}
    (goodnight | good night | night night | nighty night | nite | sleep (well | tight) | sweet dreams)
    take (care | it easy) [(of yourself | now)]
    (have | enjoy) [(a | the | your | an)] [rest of (your | the)] {very} [({good} | blessed | pleasant | better |
        happy)] (
        [rest of (your | the)] ({day} | one | time))
    (you | you all) (have a {good} (day | night | evening | one) | take care)
    (i | i do | we) hope you have a {very} {good} (day | night | evening | one | time)
    have fun
    [(i'll | i will)] be seeing (you | ya) [{later}]
    (i think | i guess | i believe) (i'll | i will | i should | i have to | i'd better | it's time [for me]
        to) {leave} [now]
    (i'm | i am | we're | we are) (done | finished) (here | talking | chatting | with (this | our) (conversation |
        chat | talk))
    (it's | it is) time [for me] to (go | leave | say goodbye | get going)
    (i'll | i will) let you go [now]
    (i bid you | bidding you) (farewell | adieu | goodbye | good day | good night)
    (fare thee well | happy trails | rest well | off i go | i'm off now | say goodbye | catch up later | catch up soon)
    (i look | looking) forward to (talking | speaking | chatting) (to | with) you {later}
    (adios | ciao | au revoir | sayonara | arrivederci | auf wiedersehen | hasta la vista) [(amigo | baby | for now)]
    (until | till | til) (next time | we meet again | we talk again | later | tomorrow | then)
    (signing off | over and out)
    (that's | that is | that'll be | that will be) all [i (need | needed)] [for (now | today)]
    time [for me] to (go | leave | say goodbye)
    [(well | sorry)] (i | i've | i'd | i'm) {must} {leave} [now]
    (i've | i) {must} {leave} [now]
    (i'm | i am) (saying (goodbye | bye) | leaving | heading (out | off | home | to bed) | out of here | outta here |
        done for now
        | going (now | to bed | to go | to leave | home) | about to (leave | go) | off to bed | off | signing off) [now]
    gotta (go | run | bounce | jet)
    [well] [{it was}] [(a | an | been)] {very} {pleasant} [as always] [to] [be able to] [(having | have | be | of)] (
        ({talking} | {a talk}) {with you})
    [well] (it was | it has been | it's been | was | that was | this was | this has been) (
        [(a | an)] {very} {pleasant} [as always] to [be able to] (see | meet) {with you})
    [(it was | that was | this was | i had | we had | what)] [(a | an)] {very} ({good} | enjoyable | pleasant | fun) (
        {a talk} {with you})
    (i | i've | i have) [really] (enjoyed | loved | liked) [having] ({talking} | {a talk} | our time
        [together]) {with you}
    i had [a] (pleasure | {good} time | fun | blast) ({talking} | {a talk}) {with you}
    [(i'm | i am)] (glad | happy | pleased) ((i | we) (got to | could) (talk | chat | speak) [(to | with) you] | we
        (could talk | got to talk | talked | chatted | could chat)
        | to have {talking} {with you})
"""
_FILLING = """
    (ai assistant | ai | a.i. | assistant | bot | chatbot | robot | computer | olly | alexa | siri | google | cortana)
    (chatgpt | gpt | claude | gemini)
    my (friend | dear | man | ai | ai friend | love)
    (friend | friends | buddy | pal | mate | dude | man | bro | sir | ma'am | madam | there | everyone | everybody)
    (y'all | all | again | stranger | fellow | fellas | folks | guys | chap | champ | boss | chief)
    (dear | hun | honey | sweetie)
    (great | awesome | cool | ok | okay | perfect | wow | oh | ah | hm | hmm | well | alright | all right | sweet | yay)
    (lovely | excellent | nice | that'll work | that will work | that works | got it | sounds good | please | so much)
    (very much | too | as well | and | for now | that's nice | that's perfect | lol | haha | very good | wonderful |
        fantastic | amazing)
    (yes | so)
"""
_ALL_PARTS = {
    **_PARTS,
    "after bye": compiled("(gater | gator | alligator | later | for now | now | then | to you)", {}),
}
_KINDS = {
    "bye": _BYE,
    "wellbeing": _WELLBEING,
    "thanks": _THANKS,
    "praise": _PRAISE,
    "greeting": _GREETING,
    "filling": _FILLING,
}

# What is written first is tried first; the group's name is the kind of phrase.
PHRASE = re.compile("|".join(f"(?P<{kind}>{compiled(phrases, _ALL_PARTS)})" for kind, phrases in _KINDS.items()))
