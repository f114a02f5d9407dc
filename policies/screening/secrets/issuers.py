"""Who issues keys that show no mark of their own: known by the issuer's name before them."""

from __future__ import annotations

# In small letters, without what stands between their words. Names that are words of code or of every day are left out:
# a value after them is seldom a key.
ISSUERS = frozenset(
    """
abbysale ably abuseipdb accuweather activecampaign adafruit adobeio adyen adzuna aeroworkflow agora ai21 airbrake
aircall airtable airvisual aiven alchemyapi alegra aletheiaapi algolia alibaba alienvault allsports alphavantage
amadeus ambee amplitude anthropic anypoint apacta api2cart apideck apiflash apifonica apify apimatic apiscience apollo
appcues appfollow appoptics appsflyer appsynergy apptivo artifactory artsy asana assemblyai atlassian audd autodesk
autoklose avazapersonal aviationstack axonaut aylien ayrshare azure bannerbear baremetrics baseapi beamer beebole
besttime betterstack billomat binance binaryedge bingmaps bitbar bitbucket bitcoinaverage bitfinex bitly bitmex
bitpanda bitrise bittrex blablabus blazemeter blitapp bombbomb boostnote borgbase braintree brandfetch brightdata
browserstack browshot bugherd bugsnag buildkite bulbul buttercms bybit cannyio capsulecrm captaindata carboninterface
cartesia cashboard caspio censys centralstation cerebras cexio chartmogul chatfuel checklyhq checkvist circleci civo
clarifai clearbit clickhelp clickhouse clicksend clickup cliengo clinchpad clockify clockwork closecrm cloudant
cloudelements cloudflare cloudimage cloudinary cloudmersive cloudns cloudplan cloudsight cloverly cloze clustdoc coda
codacy codeclimate codecov codemagic cohere coinapi coinbase coinlayer coinlib coinmarketcap cometml commercejs
companyhub configcat confluence confluent contentful contentstack convertkit convier copyleaks coveralls crowdin
crowdstrike cryptocompare currencycloud currencyfreaks currencylayer currencyscoop currentsapi customerguru customerio
databento datadog datafire datagov datarobot deepai deepgram deepl deepseek dehashed deribit detectlanguage dfuse
diffbot digitalocean discord disqus dnscheck dnsimple documo dotmailer dovico dronahq droneci dropbox duffel dwolla
dynalist dynatrace dyspatch eagleeyenetworks easyinsight edamam edenai eightxeight elasticcloud elasticemail
elevenlabs emailoctopus enablex endorlabs eodhd etherscan ethplorer etsy everhour exchangerateapi exchangeratesapi
exoscale facebook faceplusplus fastforex fastly fastspring fetchrss figma fileio finage financialmodelingprep finicity
finnhub firecrawl fireworksai fixerio fleetbase flexport flickr flightapi flightlabs flightstats flowflu flutterwave
fofa foursquare frameio freshbooks freshdesk freshservice freshworks fullstory fusebill fxmarket gandi gateio
geckoboard gemini gengo geoapify geocodify geocodio getemail getemails getgeoapi getgist getresponse getsandbox giphy
gitalk gitea gitter gladia glassnode gocanvas gocardless godaddy goodday graphcms graphhopper greptile greynoise
groovehq groq guardianapi gumroad gyazo happyscribe harnessio heapanalytics helicone hellosign helpcrunch helpscout
hereapi heroku hetzner heygen hiveage holidayapi honeybadger honeycomb html2pdf hubspot huggingface hunterio huobi
hybridanalysis hyperbolic hypertrack ibm iconfinder ideogram iexcloud imagekit imagga impala influxdb infomaniak
infura insightly instabot instagram instamojo integromat intelx intercom intrinio invoiceocean ipapi ipdata
ipgeolocation ipify ipinfo ipinfodb ipquality ipqualityscore ipstack jina jira jotform jumpcloud jupiterone juro kagi
karmacrm keenio kickbox klaviyo klipfolio kontent kraken kucoin kylas langchain langfuse langsmith languagelayer
lastfm launchdarkly leadfeeder leakix lendflow lexigram lighton linkedin linkpreview linode liveagent livekit
livestorm locationiq loggly loginradius logzio lokalise looker loyverse luno macaddress madkudu magicbell mailboxlayer
mailchimp mailerlite mailersend mailgun mailjet mailmodo mailsac mailsend mailtrap malshare mandrill mapbox mapquest
marketaux marketstack matomo mattermost mavenlink maxmind meaningcloud mediastack meilisearch meistertask meraki
mergify mesibo messagebird metaapi metabase metrilo minimax miro mistral mixmax mixpanel moderationapi moonclerk
moosend moralis mrticktock murf myfreshworks myintervals namecheap neptune nethunt netlify netsuite neutrinoapi
newrelic newsapi newscatcher nexmo nftport ngrok nicereply nitrapi notion nozbe nozbeteams npmjs numverify nutritionix
nvidia nylas nytimes oanda okta okx ollama omnisend onedesk onelogin onepagecrm onesignal onfido onfleet onwater
oopspam openai opencage opencagedata opengraphr openrouter opensea openuv openweather openweathermap opsgenie
optimizely ovh owlbot packagecloud pagerduty pandadoc pandascore paralleldots parsehub partnerstack passbase pastebin
paydirt paymoapp paymongo paypal paystack pdflayer pdfshift peopledatalabs pepipost perplexity phraseapp pinata
pinecone pipedream pipedrive pivotaltracker pixabay plaid planetscale planviewleankit planyo playht plivo podio
pollsapi poloniex polygonio polymarket porkbun portkey positionstack postageapp postbacks postgresml posthog postmark
powrbot privateai prodpad prospectcrm prospectio protocolsio proxycrawl pubnub pulsedive purestake pushbullet pusher
qase qdrant qualaroo qubole quickmetrics quicknode rainforest rapidapi ravenblue rawg razorpay reachmail rebrandly
rechargepayments recordedfuture repairshopr replyio restpack revai revampcrm ringcentral ritekit roboflow rocketreach
rollbar roninapp route4me rownd rubygems runpod runrunit salesblink salescookie salesflare salesforce salesmate
samsara satismeter saucelabs scaleway scalingo scrapeowl scraperapi scraperbox scrapersite scrapestack scrapfly
scrapingant scrapingbee screenshotapi screenshotlayer securitytrails segmentapi selectpdf sellfy sendbird sendgrid
sendinblue sentry serpapi serphouse serpstack sheety sherpadesk shipday shippo shodan shopify shortio shotstack
shutterstock sidekiq signalwire signaturit signupgenius sigopt simfin simplesat simplybook simplynoted simvoly sinch
sirv siteleaf skrapp skybiometry smartsheet smartsheets smartystreets smooch snipcart snowflake snyk softlayer
sonarcloud sonarqube soniox sourcegraph sparkpost speechmatics splunk spoonacular sportradar sportsmonk spotify
squareapp squarespace squareup sslmate stabilityai statuscake statuspage stitchdata stockdata storecove stormboard
stormglass storyblok storychief strava stripe stytch sugester sumologic sumsub supabase supernotes surveybot
surveysparrow survicate swiftype synthesia tableau tallyfy tatumio tavily taxjar teamgate teamworkcrm teamworkdesk
technicalanalysisapi telegram telnyx terraform text2data textmagic theoddsapi thinkific thousandeyes threatconnect
ticketmaster tiingo timezoneapi tineswebhook tmetric todoist togetherai toggl toggltrack tomorrowio tomtom tradier
travelpayouts travisci trello truenas twelvedata twilio twitch twitter tyntec typeform typesense typetalk ubidots
ultralytics unifyid unsplash upcdatabase upcloud uplead uploadcare upstage upstash uptimerobot upwave urlhaus urlscan
userflow userstack vatlayer vbout vercel verimail veriphone versioneye viewneo virustotal visualcrossing voicegain
vonage voodoosms vouchery voyageai vpnapi vultr vyte wakatime walkscore wandb weatherapi weatherbit weatherstack
weaviate webex webflow webscraper webscraping weightsandbiases wepay whoxy wistia woocommerce workday worksnaps
workstack worldcoinindex worldweather wrike xata yandex yelp youneedabudget yousign youtube zapier zendesk zenkit
zenrows zenscrape zenserp zeplin zerobounce zerotier zilliz zipapi zipbooks zipcodeapi zoho zonkafeedback zoomeye
zuora
""".split()
)
